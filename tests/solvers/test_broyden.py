"""Broyden's steps against the dense recursion, its inverse, its memory, and the line search."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import (
    LBFGS,
    AbsoluteResidual,
    AdjointBroyden,
    Anderson,
    Backtracking,
    Broyden,
    Picard,
    solve,
)
from deqlab.solvers.flat import flatten, unflatten


def iterates(f, x0: Tensor, solver, count: int, tolerance: float = 0.0):
    seen: list[Tensor] = []
    solution = solve(
        f, x0, solver, tolerance, count, callback=lambda k, x, running: seen.append(x.clone())
    )
    return seen, solution


def dense_broyden(f, x0: Tensor, count: int) -> tuple[list[Tensor], Tensor]:
    """Iterates and B of one sample, with B a matrix: x <- x + B g, B <- B + (s - B y) s^T B / (s^T
    B y).
    """
    g = lambda x: (flatten(f(x)) - flatten(x))[0]
    B = torch.eye(flatten(x0).shape[1], dtype=torch.float64)
    like, flat = x0, flatten(x0)[0]
    form = lambda v: unflatten(v[None], like)
    seen, now = [flat], g(x0)
    for _ in range(count - 1):
        s = B @ now
        flat = flat + s
        after = g(form(flat))
        y = now - after
        B = B + torch.outer(s - B @ y, s @ B) / (s @ B @ y)
        seen.append(flat)
        now = after
    return seen, B


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_is_the_dense_recursion(make_map, dtype: torch.dtype) -> None:
    """Complex numbers as pairs of real ones: a product without its conjugate would show here."""
    f = make_map(2, n=5, rates=[0.9, 0.5], dtype=dtype)
    seen, solution = iterates(f, torch.randn_like(f.b), Broyden(), 8)
    v = torch.randn(2, flatten(f.b).shape[1], dtype=torch.float64)
    for member in range(2):
        alone = f.members([member])
        expected, B = dense_broyden(alone, seen[0][member : member + 1], 8)
        for mine, theirs in zip(seen, expected):
            assert_close(flatten(mine)[member], theirs, rtol=1e-8, atol=1e-8)
        assert_close(solution.inverse.apply(v)[member], B @ v[member], rtol=1e-7, atol=1e-7)
        assert_close(solution.inverse.transpose(v)[member], B.mT @ v[member], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_ends_within_twice_the_dimension_on_an_affine_map(make_map, n: int) -> None:
    """2n steps: D. M. Gay, Some convergence properties of Broyden's method, SIAM J. Numer. Anal. 16
    (1979).
    """
    f = make_map(3, n=n, rates=[0.5, 0.99, 3.0], dtype=torch.float64)
    solution = solve(f, torch.zeros_like(f.b), Broyden(), 1e-9, 60)
    assert solution.converged.all() and int(solution.evaluations.max()) <= 2 * n + 1
    assert_close(solution.value, f.fixed_point(), rtol=1e-6, atol=1e-6)


def test_the_inverse_is_exact_where_one_dimension_is_all(make_map) -> None:
    f = make_map(3, n=1, rates=[0.5, 0.9, 3.0], dtype=torch.float64)
    B = solve(f, torch.zeros_like(f.b), Broyden(), 1e-10).inverse
    one = torch.ones(3, 1, dtype=torch.float64)
    assert_close(B.apply(one), 1 / (1 - f.M[:, 0]))
    assert_close(B.transpose(one), 1 / (1 - f.M[:, 0]))


@pytest.mark.parametrize(
    "solver", [Broyden(), Broyden(memory=4), Broyden(line_search=Backtracking())], ids=repr
)
def test_the_inverse_holds_the_last_evaluation(make_map, solver) -> None:
    """B y = s for the step to the last iterate of each sample, also of those that left long before
    the others.
    """
    f = make_map(4, n=8, rates=[0.9, 0.1, 0.5, 0.01])
    paths: list[list[Tensor]] = [[] for _ in range(4)]

    def note(k: int, x: Tensor, running: Tensor) -> None:
        for member, iterate in zip(running.tolist(), x):
            paths[member].append(iterate)

    solution = solve(f, torch.zeros_like(f.b), solver, 1e-6, 60, callback=note)
    assert len(set(solution.evaluations.tolist())) >= 3
    s = torch.stack([path[-1] - path[-2] for path in paths])
    y = s - torch.einsum("bij,bj->bi", f.M, s)
    assert_close(solution.inverse.apply(flatten(y)), flatten(s), rtol=1e-6, atol=1e-9)


def test_the_inverse_does_not_depend_on_the_batch(make_map) -> None:
    f = make_map(4, n=8, rates=[0.9, 0.1, 0.5, 0.01])
    v = torch.randn(4, 16, dtype=torch.float64)
    together = solve(f, torch.zeros_like(f.b), Broyden(), 1e-8, 60)
    assert together.inverse.count.tolist() == [count - 1 for count in together.evaluations.tolist()]
    for member in range(4):
        alone = solve(f.members([member]), torch.zeros(1, 8, dtype=f.b.dtype), Broyden(), 1e-8, 60)
        mine = together.inverse.select(torch.tensor([member]))
        assert_close(
            mine.apply(v[[member]]), alone.inverse.apply(v[[member]]), rtol=1e-6, atol=1e-6
        )
        assert_close(
            mine.transpose(v[[member]]), alone.inverse.transpose(v[[member]]), rtol=1e-6, atol=1e-6
        )


def test_one_evaluation_leaves_the_identity(make_map) -> None:
    f = make_map(2)
    v = torch.randn(2, 12, dtype=torch.float64)
    assert torch.equal(solve(f, f.b, Broyden(), 0.0, 1).inverse.apply(v), v)
    assert solve(f, f.b, Anderson()).inverse is None and solve(f, f.b, Picard()).inverse is None


def test_memory_is_allocated_as_it_is_used(make_map) -> None:
    f = make_map(2, n=30, rates=0.95)
    short, long = (
        solve(f, torch.zeros_like(f.b), Broyden(memory=1000), 0.0, count) for count in (5, 20)
    )
    assert short.state.memory.left.shape[1] == 5 and long.state.memory.left.shape[1] == 20
    assert long.inverse.left.shape[1] == 19
    assert (
        solve(f, torch.zeros_like(f.b), Broyden(memory=3), 0.0, 15).state.memory.left.shape[1] <= 3
    )


def test_a_full_memory_keeps_the_greater_half_of_the_rank(make_map) -> None:
    """After the reduction B - I is the best approximation of its rank, and the solve goes on from
    there to the solution.
    """
    f = make_map(2, n=20, rates=0.9)
    memory = solve(f, torch.zeros_like(f.b), Broyden(memory=6), 0.0, 7).state.memory
    assert memory.full
    u, sigma, vh = torch.linalg.svd(memory.left.mT @ memory.core @ memory.right)
    memory.reduce()
    assert memory.filled == 3 and not memory.full
    assert_close(
        memory.left.mT @ memory.core @ memory.right, (u[:, :, :3] * sigma[:, None, :3]) @ vh[:, :3]
    )
    solution = solve(f, torch.zeros_like(f.b), Broyden(memory=6), 1e-9, 200)
    assert solution.converged.all() and int(solution.inverse.count.max()) <= 6
    assert solve(f, torch.zeros_like(f.b), Broyden(memory=1), 1e-4, 300).converged.all()


def tanh_map(n: int = 8, rate: float = 0.95):
    M = torch.randn(n, n, dtype=torch.complex128)
    M, b = (
        rate * M / torch.linalg.matrix_norm(M, ord=2),
        0.3 * torch.randn(3, n, dtype=torch.complex128),
    )

    def f(x: Tensor) -> Tensor:
        z = x @ M.mT
        return torch.complex(torch.tanh(z.real), torch.tanh(z.imag)) + b

    return f, b


def test_converges_superlinearly() -> None:
    """Each residual over the one before tends to zero; Picard's ratio stays at its rate."""
    f, b = tanh_map(n=1)
    solution = solve(f, torch.zeros_like(b), Broyden(), 1e-14, 60)
    assert solution.converged.all()
    for trace in solution.trace:
        assert trace[-1] / trace[-2] < 0.05 * trace[1] / trace[0]
    picard = solve(f, torch.zeros_like(b), Picard(), 1e-14, 1000)
    assert all(trace[-1] / trace[-2] > 0.3 * trace[1] / trace[0] for trace in picard.trace)


def test_the_line_search_reaches_what_full_steps_miss() -> None:
    """f(x) = x - 10 atan(x): from x = 1 the first full step is 8 times too long, and the next ones
    run into the flat parts.
    """
    f = lambda x: x - 10 * torch.atan(x)
    start = torch.tensor([[1.0], [4.0], [0.01]], dtype=torch.float64)
    full, searched = (
        solve(f, start, solver, 1e-8, 30, criterion=AbsoluteResidual())
        for solver in (Broyden(), Broyden(line_search=Backtracking()))
    )
    assert not full.converged[:2].any()
    assert searched.converged.all() and float(searched.value.abs().max()) < 1e-8
    for member in range(3):
        alone = solve(
            f,
            start[[member]],
            Broyden(line_search=Backtracking()),
            1e-8,
            30,
            criterion=AbsoluteResidual(),
        )
        assert alone.evaluations.tolist() == [int(searched.evaluations[member])]


def test_a_residual_that_does_not_change_does_no_harm() -> None:
    """A shift has y = 0: the secant condition cannot hold, the damped correction stays finite."""
    solution = solve(
        lambda x: x + 1, torch.zeros(2, 3), Broyden(), 1e-3, 8, criterion=AbsoluteResidual()
    )
    assert bool(torch.isfinite(solution.value).all()) and not solution.converged.any()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Broyden(memory=0), "memory: 0"),
        (lambda: Backtracking(shrink=1.0), "shrink: 1.0"),
        (lambda: Backtracking(least=0.0), "least: 0.0"),
        (lambda: Backtracking(growth=-1.0), "growth: -1.0"),
    ],
)
def test_an_impossible_choice_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("solver", [Broyden(4), AdjointBroyden(4), LBFGS(4)], ids=repr)
def test_a_sample_that_breaks_keeps_what_was_learned_before(make_map, solver) -> None:
    """NaN from f ends the sample; its inverse, and that of its mates, stays finite."""
    f = make_map(2, rates=0.9)
    calls = []

    def broken(x: Tensor) -> Tensor:
        calls.append(len(x))
        poison = torch.tensor([math.nan if len(calls) > 4 else 1.0, 1.0], dtype=torch.float64)[
            :, None
        ]
        return f(x) * poison

    solution = solve(broken, torch.zeros_like(f.b), solver, 1e-9, 40)
    assert solution.reason == ["not finite", "converged"] and int(solution.evaluations[0]) == 5
    v = torch.randn(2, 12, dtype=torch.float64)
    B = solution.inverse
    assert (
        bool(torch.isfinite(B.apply(v)).all()) and float((B.apply(v) - v).norm(dim=1).min()) > 1e-3
    )
