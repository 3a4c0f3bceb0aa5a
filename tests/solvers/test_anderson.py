"""The Anderson step against its definition, and in the cases where its small system has no
solution.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.solvers import Anderson, Picard, solve


def iterates(f, x0: Tensor, solver, count: int) -> list[Tensor]:
    seen: list[Tensor] = []
    solve(f, x0, solver, 0.0, count, callback=lambda k, x, running: seen.append(x.clone()))
    return seen


@pytest.mark.parametrize("damping", [1.0, 0.6])
@pytest.mark.parametrize("memory", [1, 2, 3])
def test_is_the_least_squares_combination_of_the_last_evaluations(
    make_map, memory: int, damping: float
) -> None:
    """x_{k+1} = x_k + beta g_k - (dX + beta dG) c, c = argmin ||g_k - dG c||, c real (Walker, Ni,
    2.2).
    """
    f = make_map(2, n=5, rates=0.9)
    seen = iterates(
        f, torch.zeros_like(f.b), Anderson(memory, regularization=1e-14, damping=damping), 7
    )
    for member in range(2):
        x = [torch.view_as_real(s[member]).flatten() for s in seen]
        g = [torch.view_as_real(f(s)[member] - s[member]).flatten() for s in seen]
        assert_close(x[1], x[0] + damping * g[0])
        for k in range(1, 6):
            columns = range(max(0, k - memory), k)
            dx = torch.stack([x[j + 1] - x[j] for j in columns], 1)
            dg = torch.stack([g[j + 1] - g[j] for j in columns], 1)
            c = torch.linalg.lstsq(dg, g[k][:, None]).solution
            assert_close(
                x[k + 1],
                x[k] + damping * g[k] - ((dx + damping * dg) @ c)[:, 0],
                rtol=1e-6,
                atol=1e-6,
            )


def test_solves_a_linear_map_in_as_many_steps_as_it_has_dimensions(make_map) -> None:
    """With full memory Anderson is GMRES: exact after n real dimensions, also where Picard
    diverges.
    """
    f = make_map(3, n=3, rates=[0.9, 0.99, 1.3])
    solution = solve(f, torch.zeros_like(f.b), Anderson(memory=8, regularization=1e-14), 1e-8, 10)
    assert solution.reason == ["converged"] * 3 and int(solution.evaluations.max()) <= 9
    assert_close(solution.value, f.fixed_point(), rtol=1e-5, atol=1e-5)


def test_needs_far_fewer_evaluations_than_picard() -> None:
    """A symmetric contraction at rate 0.97: hundreds of Picard steps, a few dozen here."""
    d = torch.linspace(0, 0.97, 40, dtype=torch.float64)[None]
    counts = [
        int(
            solve(
                lambda x: d * x + 1, torch.zeros(1, 40, dtype=torch.float64), solver, 1e-6, 1000
            ).evaluations
        )
        for solver in (Picard(), Anderson())
    ]
    assert 4 * counts[1] < counts[0]


def test_regularisation_is_relative(make_map) -> None:
    """A residual that has fallen by ten orders meets the same regularisation as the first one."""
    f = make_map(1, n=20, rates=0.99)
    exact = f.fixed_point()
    far, near = (
        solve(f, exact + scale * torch.ones_like(exact), Anderson(), 0.0, 25).trace[0]
        for scale in (1.0, 1e-6)
    )
    assert near[-1] / near[0] == pytest.approx(far[-1] / far[0], rel=0.3)


@pytest.mark.parametrize("regularization", [0.0, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128])
def test_a_singular_system_ends_in_a_named_reason(
    dtype: torch.dtype, regularization: float
) -> None:
    """A shift has differences of zero: the small system is singular and the step falls back to
    Picard's.
    """
    solver = Anderson(regularization=regularization)
    shift = solve(lambda x: x + 1, torch.zeros(2, 3, dtype=dtype), solver, 1e-3, 8)
    assert shift.reason == ["budget"] * 2 and bool(torch.isfinite(shift.value).all())
    assert_close(shift.value, torch.full((2, 3), 7, dtype=dtype))
    # One dimension, five differences: rank 1.
    line = solve(lambda x: 0.9 * x + 1, torch.zeros(2, 1, dtype=dtype), solver, 1e-6, 20)
    assert line.reason == ["converged"] * 2
    assert_close(line.value, torch.full((2, 1), 10, dtype=dtype), rtol=1e-4, atol=1e-4)


def test_a_singular_sample_leaves_its_mates_alone() -> None:
    rate = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    solution = solve(
        lambda x: rate * x + 1,
        torch.zeros(2, 4, dtype=torch.float64),
        Anderson(regularization=0.0),
        1e-9,
        20,
    )
    assert solution.reason == ["budget", "converged"]
    assert_close(solution.value[1], torch.full((4,), 2.0, dtype=torch.float64))


def test_history_follows_the_memory_not_the_budget(make_map) -> None:
    f = make_map(3, rates=[0.99, 0.0, 0.99])
    solution = solve(f, torch.zeros_like(f.b), Anderson(memory=4), 1e-12, 6)
    state = solution.state
    # The state is that of the samples that were still running.
    assert state.delta_f.shape == state.delta_g.shape == (2, 4, 12) and state.gram.shape == (
        2,
        4,
        4,
    )
    products = state.delta_g @ state.delta_g.mT
    assert_close(state.gram, products)
    assert Anderson().init(torch.zeros(3, 5)) is None
