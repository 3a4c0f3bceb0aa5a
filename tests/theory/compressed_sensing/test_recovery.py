"""l1 recovery against a linear program, against its optimality conditions, and one problem at a
time.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import Anderson, Picard, solve
from deqlab.theory import compressed_sensing as cs


@pytest.mark.parametrize("m, n", [(3, 8), (7, 15), (10, 20)])
def test_agrees_with_the_linear_program(draw, smallest_l1, m: int, n: int) -> None:
    """For sparse signals, and for measurements that no sparse signal explains."""
    matrix = draw(m, n)
    sparse = draw(3, n, seed=1) * (torch.arange(n) % 5 == 0)
    measurements = torch.cat([sparse @ matrix.T, draw(4, m, seed=2)])
    found = cs.basis_pursuit(matrix, measurements, tolerance=1e-11, max_iterations=40_000)
    assert bool(found.converged.all())
    assert_close(
        found.signal, torch.stack([smallest_l1(matrix, y) for y in measurements]), rtol=0, atol=1e-6
    )
    assert_close(found.signal @ matrix.T, measurements, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("solver", [Picard(), Anderson(5)], ids=["picard", "anderson"])
def test_a_fixed_point_is_optimal(draw, dtype: torch.dtype, solver) -> None:
    """x minimises ||x||_1 on A x = y exactly where a subgradient of the norm at x lies in the range
    of A^H.
    """
    matrix = draw(6, 14, dtype=dtype)
    rows, data = cs.orthonormal_rows(matrix, draw(5, 6, dtype=dtype, seed=1))
    f = cs.basis_pursuit_map(rows, data)
    solution = solve(f, f.start(), solver, 1e-10, 20_000)
    assert bool(solution.converged.all())
    x = f.signal(solution.value)
    slope = (x - solution.value) / f.threshold
    assert_close(rows.adjoint(rows.forward(slope)), slope, rtol=0, atol=1e-9)
    assert float(slope.abs().max()) <= 1 + 1e-7
    assert_close((slope.conj() * x).sum(-1).real, x.abs().sum(-1), rtol=1e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_finds_sparse_signals(draw, dtype: torch.dtype) -> None:
    matrix = draw(30, 60, dtype=dtype)
    signals = draw(4, 60, dtype=dtype, seed=1) * (torch.arange(60) % 20 == 3)
    found = cs.basis_pursuit(matrix, signals @ matrix.mT)
    assert_close(found.signal, signals, rtol=0, atol=1e-4)


def test_single_precision_stays_single(draw) -> None:
    for dtype in (torch.float32, torch.complex64):
        matrix = draw(20, 40, dtype=dtype)
        signal = torch.zeros(1, 40, dtype=dtype)
        signal[0, 7] = -3
        found = cs.basis_pursuit(matrix, signal @ matrix.mT, tolerance=1e-5).signal
        assert found.dtype == dtype
        assert_close(found, signal, rtol=0, atol=1e-3)


@pytest.mark.parametrize("own", [False, True], ids=["one matrix", "each its own"])
def test_a_problem_does_not_feel_its_batch_mates(draw, own: bool) -> None:
    """Batches of 1 to 5, whose members stop at very different iterations."""
    matrix = draw(5, 6, 12) if own else draw(6, 12)
    measurements = draw(5, 6, seed=1) * 10.0 ** torch.arange(5)[:, None].double()
    measurements[0] = (matrix[0] if own else matrix)[:, 3]
    alone = [
        cs.basis_pursuit(matrix[i] if own else matrix, measurements[i : i + 1]) for i in range(5)
    ]
    assert len({int(one.iterations) for one in alone}) > 1
    for batch in range(1, 6):
        together = cs.basis_pursuit(matrix[:batch] if own else matrix, measurements[:batch])
        for i in range(batch):
            assert_close(
                together.signal[i],
                alone[i].signal[0],
                rtol=1e-7,
                atol=1e-10 * float(measurements[i].abs().max()),
            )
            assert int(together.iterations[i]) == int(alone[i].iterations)


def test_scale_changes_nothing(draw) -> None:
    matrix, measurements = draw(6, 12), draw(3, 6, seed=1)
    found, scaled = (
        cs.basis_pursuit(matrix, measurements),
        cs.basis_pursuit(1e-6 * matrix, 1e3 * measurements),
    )
    assert_close(scaled.signal, 1e9 * found.signal, rtol=1e-6, atol=1e3)
    assert_close(scaled.iterations, found.iterations)


def test_nothing_measured_is_nothing(draw) -> None:
    found = cs.basis_pursuit(draw(4, 9), torch.zeros(2, 4, dtype=torch.float64))
    assert bool(found.converged.all()) and float(found.signal.abs().max()) == 0


def test_a_budget_that_ends_says_so(draw) -> None:
    found = cs.basis_pursuit(draw(6, 12), draw(2, 6, seed=1), max_iterations=3)
    assert not bool(found.converged.any()) and found.iterations.tolist() == [3, 3]
    assert bool((found.residual > 1e-6).all())


def test_map_does_not_expand(draw) -> None:
    rows, data = cs.orthonormal_rows(
        draw(6, 14, dtype=torch.complex128), draw(50, 6, dtype=torch.complex128, seed=1)
    )
    f = cs.basis_pursuit_map(rows, data)
    a, b = (10 * draw(50, 14, dtype=torch.complex128, seed=seed) for seed in (2, 3))
    before, after, left = (
        (x.abs().square().sum(-1)) for x in (a - b, f(a) - f(b), (a - f(a)) - (b - f(b)))
    )
    assert bool((after + left <= before * (1 + 1e-12)).all())  # firmly nonexpansive


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_orthonormal_rows_say_the_same(draw, dtype: torch.dtype) -> None:
    matrix, x = draw(3, 4, 9, dtype=dtype), draw(3, 9, dtype=dtype, seed=1)
    rows, data = cs.orthonormal_rows(matrix, (matrix @ x[..., None])[..., 0])
    assert_close(rows.matrix @ rows.matrix.mH, torch.eye(4, dtype=dtype).expand(3, 4, 4))
    assert_close(rows.forward(x), data)
    y = draw(3, 4, dtype=dtype, seed=2)
    assert_close((rows.forward(x).conj() * y).sum(-1), (x.conj() * rows.adjoint(y)).sum(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_soft_threshold_minimises(draw, dtype: torch.dtype) -> None:
    x, t = draw(200, dtype=dtype), 0.8

    def energy(u):
        return (u - x).abs().square() / 2 + t * u.abs()

    best = cs.soft_threshold(x, t)
    assert bool((best == 0).any()) and bool((best != 0).any())
    for seed in range(1, 20):
        assert bool(
            (energy(best) <= energy(best + 0.1 * draw(200, dtype=dtype, seed=seed)) + 1e-15).all()
        )
    assert bool((energy(best) <= energy(torch.zeros_like(x)) + 1e-15).all())


@pytest.mark.parametrize(
    "matrix, measurements, word",
    [
        (torch.zeros(4), torch.zeros(1, 4), "matrix"),
        (torch.rand(4, 8), torch.zeros(4), "measurements"),
        (torch.rand(4, 8), torch.zeros(2, 5), "measurements"),
        (torch.rand(3, 4, 8), torch.zeros(2, 4), "measurements"),
        (torch.rand(4, 8), torch.zeros(2, 4, dtype=torch.float64), "measurements"),
        (torch.ones(4, 8), torch.zeros(2, 4), "rows"),
        (torch.rand(9, 8), torch.zeros(2, 9), "rows"),
    ],
)
def test_bad_input(matrix, measurements, word: str) -> None:
    with pytest.raises(InputError, match=word):
        cs.basis_pursuit(matrix, measurements)


def test_a_threshold_of_zero_is_refused(draw) -> None:
    with pytest.raises(InputError, match="threshold"):
        cs.basis_pursuit(draw(4, 8), draw(1, 4), threshold=0.0)
