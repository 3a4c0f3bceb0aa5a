"""Conjugate gradients against a dense solve, per sample, real and complex Hermitian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.solvers import conjugate_gradient


def systems(
    batch: int, n: int, dtype: torch.dtype, conditions: float | list[float] = 50.0
) -> tuple[Tensor, Tensor]:
    """Hermitian positive definite matrices (batch, n, n) of given condition and right sides (batch,
    n).
    """
    Q = torch.linalg.qr(torch.randn(batch, n, n, dtype=dtype))[0]
    condition = torch.as_tensor(conditions, dtype=torch.float64).expand(batch)
    eigenvalues = condition[:, None] ** -torch.linspace(0, 1, n, dtype=torch.float64)
    return (Q * eigenvalues[:, None].to(dtype)) @ Q.mH, torch.randn(batch, n, dtype=dtype)


def product(M: Tensor):
    return lambda x: torch.einsum("bij,bj->bi", M, x)


def true_residual(M: Tensor, x: Tensor, right: Tensor) -> Tensor:
    return (right - product(M)(x)).norm(dim=1) / right.norm(dim=1)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_agrees_with_a_dense_solve(batch: int, dtype: torch.dtype) -> None:
    M, right = systems(batch, 8, dtype)
    solution = conjugate_gradient(product(M), right, tolerance=1e-12, max_iterations=30)
    assert solution.reason == ["converged"] * batch
    assert_close(solution.value, torch.linalg.solve(M, right), rtol=1e-8, atol=1e-8)


def test_takes_no_more_steps_than_eigenvalues() -> None:
    """Three distinct eigenvalues, three steps: only a conjugated inner product does that in a
    complex system.

    A fourth product checks the claim.
    """
    Q = torch.linalg.qr(torch.randn(1, 9, 9, dtype=torch.complex128))[0]
    eigenvalues = torch.tensor([1.0, 2.0, 5.0], dtype=torch.complex128).repeat_interleave(3)
    M = (Q * eigenvalues) @ Q.mH
    solution = conjugate_gradient(
        product(M), torch.randn(1, 9, dtype=torch.complex128), tolerance=1e-10
    )
    assert solution.evaluations.tolist() == [4]


@pytest.mark.parametrize("others", [[0], [2, 1], [1, 3, 0], [3, 3]])
@pytest.mark.parametrize("budget", [100, 11])
def test_a_sample_does_not_depend_on_its_batch_mates(budget: int, others: list[int]) -> None:
    """Whether its mates take longer or run into the budget."""
    M, right = systems(4, 12, torch.complex128, [1.5, 10.0, 100.0, 1000.0])
    everyone = conjugate_gradient(product(M), right, tolerance=1e-6, max_iterations=budget)
    assert len(set(everyone.evaluations.tolist())) > 1 and everyone.converged.all() == (
        budget == 100
    )
    company = conjugate_gradient(
        product(M[others]), right[others], tolerance=1e-6, max_iterations=budget
    )
    assert company.evaluations.tolist() == everyone.evaluations[others].tolist()
    assert_close(company.value, everyone.value[others], rtol=1e-8, atol=1e-8)
    for mine, member in zip(company.trace, others):
        assert mine == pytest.approx(everyone.trace[member], rel=1e-6)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-9])
def test_converged_means_converged(tolerance: float) -> None:
    M, right = systems(3, 20, torch.complex128, [2.0, 100.0, 1e5])
    solution = conjugate_gradient(product(M), right, tolerance=tolerance, max_iterations=15)
    measured = true_residual(M, solution.value, right)
    assert_close(solution.residual, measured, rtol=1e-3, atol=1e-12)
    # A claim that the budget left unchecked is none, so the reverse need not hold.
    assert bool((measured[solution.converged] <= tolerance).all()) and solution.converged[0]
    assert [why == "converged" for why in solution.reason] == solution.converged.tolist()
    assert solution.reason[2] == "budget"
    assert [len(trace) for trace in solution.trace] == solution.evaluations.tolist()


def test_rounding_does_not_pass_for_convergence() -> None:
    """In single precision the recursive residual of a bad system falls below any tolerance, the
    true one not.

    Nor is there a claim where the budget ends before its check.
    """
    M, right = systems(1, 100, torch.float32, 1e5)
    claim = 0
    for budget in (2000, None):
        solution = conjugate_gradient(
            product(M), right, tolerance=1e-5, max_iterations=budget or claim
        )
        assert len(solution.trace[0]) == int(solution.evaluations) == (budget or claim)
        assert solution.reason == ["budget"] and not solution.converged[0]
        claim = 1 + next(k for k, entry in enumerate(solution.trace[0]) if entry <= 1e-5)
    assert float(true_residual(M, solution.value, right)) > 1e-4


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e4])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_the_intensity_scale_changes_nothing(factor: float, dtype: torch.dtype) -> None:
    M, right = systems(2, 8, dtype)
    plain, scaled = (
        conjugate_gradient(product(M), s * right, tolerance=1e-4) for s in (1.0, factor)
    )
    assert scaled.reason == plain.reason == ["converged"] * 2
    assert_close(scaled.value / factor, plain.value, rtol=1e-3, atol=1e-3)


def test_starts_where_it_is_told_and_leaves_its_arguments_alone() -> None:
    M, right = systems(2, 8, torch.complex128)
    exact = torch.linalg.solve(M, right)
    start, before, right_before = exact.clone(), exact.clone(), right.clone()
    solution = conjugate_gradient(product(M), right, x0=start, tolerance=1e-8)
    assert solution.converged.all() and int(solution.evaluations.max()) <= 2
    near = conjugate_gradient(product(M), right, x0=exact + 1e-3, tolerance=1e-10)
    assert_close(near.value, exact, rtol=1e-8, atol=1e-8)
    assert torch.equal(start, before) and torch.equal(right, right_before)


def test_zero_is_solved_by_zero_beside_a_sample_that_is_not() -> None:
    M, right = systems(2, 6, torch.complex128)
    right[0] = 0
    solution = conjugate_gradient(product(M), right, tolerance=1e-10)
    assert solution.reason == ["converged"] * 2 and solution.evaluations[0] <= 1
    assert bool((solution.value[0] == 0).all()) and bool(torch.isfinite(solution.value).all())


def test_a_singular_but_consistent_system_has_its_smallest_solution() -> None:
    M, _ = systems(1, 6, torch.complex128)
    values, vectors = torch.linalg.eigh(M)
    values[:, :2] = 0
    M = (vectors * values[:, None].to(M)) @ vectors.mH
    right = product(M)(torch.randn(1, 6, dtype=torch.complex128))
    solution = conjugate_gradient(product(M), right, tolerance=1e-10)
    assert_close(
        solution.value[0], torch.linalg.pinv(M[0], hermitian=True) @ right[0], rtol=1e-7, atol=1e-7
    )


def test_no_budget_no_work() -> None:
    def never(x: Tensor) -> Tensor:
        raise AssertionError("evaluated")

    solution = conjugate_gradient(never, torch.ones(2, 3), max_iterations=0)
    assert solution.reason == ["budget"] * 2 and torch.equal(solution.value, torch.zeros(2, 3))


@pytest.mark.parametrize("where", ["right", "map"])
def test_what_is_not_finite_is_named(where: str) -> None:
    M, right = systems(2, 4, torch.complex128)
    (right if where == "right" else M)[1, 0] = torch.nan
    solution = conjugate_gradient(product(M), right, tolerance=1e-8)
    assert solution.reason == ["converged", "not finite"] and bool(
        torch.isfinite(solution.value).all()
    )


def test_what_is_not_positive_is_not_converged() -> None:
    solution = conjugate_gradient(lambda x: -x, torch.ones(1, 3))
    assert not solution.converged[0] and solution.reason[0] != "converged"
