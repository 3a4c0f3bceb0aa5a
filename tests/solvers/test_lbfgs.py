"""L-BFGS against the two-loop recursion, on maps with a symmetric Jacobian."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.solvers import LBFGS, Anderson, Backtracking, Picard, solve
from deqlab.solvers.flat import flatten


def two_loop(pairs: list[tuple[Tensor, Tensor]], v: Tensor) -> Tensor:
    """J. Nocedal and S. Wright, Numerical optimization, algorithm 7.4: B v from pairs, oldest
    first.
    """
    q, alphas = v.clone(), []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (s @ y)
        alphas.append(alpha)
        q = q - alpha * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas)):
        r = r + s * (alpha - (y @ r) / (s @ y))
    return r


@pytest.mark.parametrize("memory", [2, 3, 20])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_is_the_two_loop_recursion(make_gradient_step, dtype: torch.dtype, memory: int) -> None:
    """Also with a memory that is full; complex numbers as pairs, so a product without its conjugate
    would show.
    """
    f = make_gradient_step(2, dtype=dtype)
    seen: list[Tensor] = []
    start = torch.randn_like(f.b)
    solution = solve(
        f, start, LBFGS(memory), 0.0, 7, callback=lambda k, x, running: seen.append(x.clone())
    )
    v = torch.randn(2, flatten(start).shape[1], dtype=torch.float64)
    for member in range(2):
        x = [flatten(iterate)[member] for iterate in seen]
        g = [flatten(f(iterate) - iterate)[member] for iterate in seen]
        pairs = [(x[k + 1] - x[k], g[k] - g[k + 1]) for k in range(6)]
        assert_close(x[1], x[0] + g[0])
        for k in range(1, 6):
            assert_close(
                x[k + 1], x[k] + two_loop(pairs[max(0, k - memory) : k], g[k]), rtol=1e-7, atol=1e-7
            )
        B = two_loop(pairs[-memory:], v[member])
        assert_close(solution.inverse.apply(v)[member], B, rtol=1e-7, atol=1e-7)
        assert_close(solution.inverse.transpose(v)[member], B, rtol=1e-7, atol=1e-7)


def test_solves_a_gradient_map_in_far_fewer_evaluations_than_picard(make_gradient_step) -> None:
    f = make_gradient_step(3, n=20, least=[0.3, 0.05, 0.01])
    quick, slow = (
        solve(f, torch.zeros_like(f.b), solver, 1e-6, 3000) for solver in (LBFGS(), Picard())
    )
    assert quick.converged.all() and slow.converged.all()
    assert_close(quick.value, f.fixed_point(), rtol=1e-3, atol=1e-3)
    assert bool((3 * quick.evaluations[1:] < slow.evaluations[1:]).all())


def test_the_step_size_within_the_map_hardly_matters(make_gradient_step) -> None:
    """A map that moves by a tenth of the gradient costs a few evaluations more: B is scaled by the
    curvature it has seen.
    """
    whole = make_gradient_step(2, n=20, least=0.02)
    counts = []
    for step in (1.0, 0.1):
        f = lambda x, step=step: x + step * (whole(x) - x)
        solution = solve(f, torch.zeros_like(whole.b), LBFGS(), 1e-7 * step, 500)
        assert solution.converged.all()
        counts.append(int(solution.evaluations.max()))
    assert counts[1] < 1.3 * counts[0]


def test_the_inverse_is_symmetric_positive_definite_and_near_the_truth(make_gradient_step) -> None:
    """Enough evaluations in few dimensions: B is (I - J)^-1, whichever sample left first."""
    f = make_gradient_step(3, n=4, least=[0.9, 0.5, 0.2], dtype=torch.float64)
    solution = solve(f, torch.zeros_like(f.b), LBFGS(), 1e-13, 60)
    assert solution.converged.all() and len(set(solution.evaluations.tolist())) > 1
    eye = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    B = torch.stack([solution.inverse.apply(column) for column in eye.unbind(2)], dim=2)
    assert_close(B, B.mT)
    assert float(torch.linalg.eigvalsh(B).min()) > 0
    truth = torch.linalg.inv(eye - f.M)
    error = torch.linalg.matrix_norm(B - truth, ord=2) / torch.linalg.matrix_norm(truth, ord=2)
    assert float(error.max()) < 0.02


def test_a_pair_without_curvature_is_left_out() -> None:
    """f(x) = 3 x curves the wrong way: B stays the identity, in its own sample only."""
    rate = torch.tensor([[3.0], [0.5]], dtype=torch.float64)
    shift = torch.tensor([[0.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    spread = torch.tensor([1.0, 0.2], dtype=torch.float64)
    solution = solve(
        lambda x: rate * spread * x + shift, torch.ones(2, 2, dtype=torch.float64), LBFGS(), 0.0, 3
    )
    v = torch.randn(2, 2, dtype=torch.float64)
    B = solution.inverse.apply(v)
    assert bool(torch.isfinite(B).all()) and not torch.allclose(B[1], v[1])
    wrong = solve(lambda x: 3 * x, torch.ones(1, 2), LBFGS(), 1e-3, 6)
    assert torch.equal(wrong.inverse.apply(v[:1].float()), v[:1].float())


def test_memory_is_allocated_as_it_is_used(make_gradient_step) -> None:
    f = make_gradient_step(2, n=30, least=0.01)
    short, long = (
        solve(f, torch.zeros_like(f.b), LBFGS(memory=1000), 0.0, count) for count in (5, 20)
    )
    assert short.state.memory.rows.shape[1] == 10 and long.state.memory.rows.shape[1] == 40
    assert long.inverse.left.data_ptr() == long.inverse.right.data_ptr()


def test_needs_about_as_many_evaluations_as_anderson(make_gradient_step) -> None:
    f = make_gradient_step(2, n=40, least=0.03, dtype=torch.float64)
    mine, theirs = (
        solve(f, torch.zeros_like(f.b), solver, 1e-6, 200).evaluations.max()
        for solver in (LBFGS(), Anderson(20))
    )
    assert int(mine) <= 1.3 * int(theirs)


@pytest.mark.parametrize("memory", [3, 20])
def test_the_products_carried_along_are_those_of_the_vectors(
    make_gradient_step, memory: int
) -> None:
    """Also where the line search rejects a step and the iterate stays: some samples move and some
    do not.
    """
    f = make_gradient_step(4, n=10, least=[0.5, 0.1, 0.02, 0.01])
    solver = LBFGS(memory, line_search=Backtracking(growth=0.9))
    for count in range(4, 12):
        pairs = solve(f, torch.zeros_like(f.b), solver, 0.0, count).state.memory
        s, y = pairs.rows[:, 0 : 2 * pairs.filled : 2], pairs.rows[:, 1 : 2 * pairs.filled : 2]
        first = pairs.position if pairs.filled == memory else 0
        age = [(first + k) % pairs.filled for k in range(pairs.filled)]
        assert_close(pairs.sy[:, age][:, :, age].triu(), (s @ y.mT)[:, age][:, :, age].triu())
        assert_close(pairs.yy[:, : pairs.filled, : pairs.filled], y @ y.mT)
    steps = solve(f, torch.zeros_like(f.b), solver, 0.0, 12)
    assert any(
        now > 0.9 * before for trace in steps.trace for before, now in itertools.pairwise(trace)
    )
