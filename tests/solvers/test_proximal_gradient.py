"""FISTA and ISTA against problems whose solutions are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import FISTA, Picard, lipschitz_estimate, proximal_gradient, solve


def lasso(batch: int = 3, condition: float = 10.0, dtype: torch.dtype = torch.float64):
    """g = 1/2 ||M x - b||^2 with ||M|| = 2, h = weight ||x||_1; gradient, proximal, b."""
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(batch, 12, 12, dtype=dtype))
    values = 2 * torch.logspace(0, -math.log10(condition), 12, dtype=torch.float64)
    M, weight = (u * values.to(dtype)) @ v, 0.3
    b = torch.randn(batch, 12, dtype=dtype)

    def gradient(x: Tensor) -> Tensor:
        return (M.mH @ ((M @ x.unsqueeze(-1)) - b.unsqueeze(-1))).squeeze(-1)

    def proximal(v: Tensor, step: Tensor) -> Tensor:
        return v.sgn() * (v.abs() - weight * step).clamp_min(0)

    return gradient, proximal, weight, b


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("solver", [FISTA(), Picard()])
def test_the_solution_obeys_the_optimality_conditions(solver, dtype: torch.dtype) -> None:
    """-grad g is weight times the phase of x where x is not 0, and at most weight where it is."""
    gradient, proximal, weight, b = lasso(dtype=dtype)
    solution = proximal_gradient(gradient, proximal, torch.zeros_like(b), 4.0, solver, 1e-9, 5000)
    assert solution.reason == ["converged"] * 3
    x, slope = solution.value, -gradient(solution.value) / weight
    there = x.abs() > 1e-7
    assert 0 < int(there.sum()) < there.numel()
    assert_close(slope[there], x[there].sgn(), rtol=0, atol=1e-5)
    assert bool((slope.abs()[~there] <= 1 + 1e-5).all())


def test_acceleration_and_restart_pay() -> None:
    gradient, proximal, _, b = lasso()
    counts = [
        int(
            proximal_gradient(
                gradient, proximal, torch.zeros_like(b), 4.0, solver, 1e-5, 5000
            ).evaluations.max()
        )
        for solver in (FISTA(), FISTA(restart=False), Picard())
    ]
    assert counts[0] < counts[1] < counts[2] / 2


def test_the_momentum_is_that_of_the_paper() -> None:
    """On f(x) = x / 2: x1 = 1/2, t = 1 gives no momentum at first, then (t_k - 1) / t_{k+1}."""
    seen: list[float] = []
    solve(
        lambda x: x / 2,
        torch.ones(1, 1, dtype=torch.float64),
        FISTA(restart=False),
        0,
        4,
        lambda k, x, _: seen.append(float(x)),
    )
    x, z, t, expected = 1.0, 1.0, 1.0, []
    for _ in range(4):
        expected.append(z)
        new, following = z / 2, (1 + math.sqrt(1 + 4 * t * t)) / 2
        x, z, t = new, new + (t - 1) / following * (new - x), following
    assert seen == pytest.approx(expected, rel=1e-12)


def test_a_sample_does_not_feel_its_batch_mates() -> None:
    gradient, proximal, _, b = lasso(3)
    everyone = proximal_gradient(
        gradient, proximal, torch.zeros_like(b), 4.0, tolerance=1e-8, max_evaluations=5000
    )
    assert len(set(everyone.evaluations.tolist())) > 1
    for index in range(3):

        def alone(x: Tensor, index: int = index) -> Tensor:
            return gradient(x.expand(3, -1))[index : index + 1]

        one = proximal_gradient(
            alone, proximal, torch.zeros_like(b[:1]), 4.0, tolerance=1e-8, max_evaluations=5000
        )
        assert int(one.evaluations) == int(everyone.evaluations[index])
        assert_close(one.value[0], everyone.value[index], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_lipschitz_constant_is_found(dtype: torch.dtype) -> None:
    gradient, proximal, _, b = lasso(dtype=dtype)
    estimate = lipschitz_estimate(gradient, torch.zeros_like(b), iterations=100, margin=1.0)
    assert_close(estimate, torch.full((3,), 4.0, dtype=torch.float64), rtol=1e-3, atol=0)
    # The estimate of few iterations is the default, and it is good enough.
    assert proximal_gradient(
        gradient, proximal, torch.zeros_like(b), tolerance=1e-8, max_evaluations=5000
    ).converged.all()


def test_a_constant_gradient_has_any_step() -> None:
    assert_close(lipschitz_estimate(torch.ones_like, torch.zeros(2, 3)), torch.ones(2))


def test_a_budget_is_no_convergence() -> None:
    gradient, proximal, _, b = lasso()
    solution = proximal_gradient(
        gradient, proximal, torch.zeros_like(b), 4.0, tolerance=1e-10, max_evaluations=5
    )
    assert (
        solution.reason == ["budget"] * 3
        and not solution.converged.any()
        and solution.evaluations.tolist() == [5] * 3
    )
    x = solution.value
    moved = proximal(x - gradient(x) / 4, torch.tensor(0.25, dtype=torch.float64)) - x
    assert_close(solution.residual, moved.norm(dim=1) / (x + moved).norm(dim=1), rtol=1e-9, atol=0)


@pytest.mark.parametrize("lipschitz", [0.0, -1.0, float("nan"), float("inf")])
def test_a_lipschitz_constant_that_cannot_be_is_named(lipschitz: float) -> None:
    with pytest.raises(InputError, match="lipschitz"):
        proximal_gradient(lambda x: x, lambda v, step: v, torch.ones(1, 2), lipschitz)
