"""Estimates of the Jacobian's size against the dense Jacobian."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.equilibrium import jacobian_penalty, power_iteration


def test_the_penalty_is_the_mean_square_singular_value(problem) -> None:
    """Within four standard errors, per sample, and those are small."""
    J = problem.jacobians()
    x, generator = problem.fixed_point(), torch.Generator().manual_seed(1)
    draws = torch.stack(
        [jacobian_penalty(problem.map, x, generator=generator).detach() for _ in range(400)]
    )
    error = draws.std(0) / 20
    expected = J.square().sum((1, 2)) / J.shape[-1]
    assert (error < 0.1 * expected).all()
    assert ((draws.mean(0) - expected).abs() <= 4 * error + 1e-12).all()


def test_more_probes_are_the_mean_of_single_ones(problem) -> None:
    x, seed = problem.fixed_point(), torch.Generator().manual_seed
    one = seed(3)
    singles = torch.stack([jacobian_penalty(problem.map, x, 1, one) for _ in range(4)])
    assert_close(jacobian_penalty(problem.map, x, 4, seed(3)), singles.mean(0))


def test_the_penalty_has_the_gradient_of_its_value(problem) -> None:
    """Against differences, with the same probes, in every parameter; x counts as a constant."""
    x, parameters = problem.fixed_point(), list(problem.f.parameters())

    def value() -> torch.Tensor:
        return jacobian_penalty(problem.map, x, 2, torch.Generator().manual_seed(5)).sum()

    gradients = torch.autograd.grad(value(), parameters, allow_unused=True, materialize_grads=True)
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum((g.conj() * d).real.sum() for g, d in zip(gradients, directions))
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, directions):
                p.add_(d, alpha=sign * 1e-6)
            values.append(value())
            for p, d in zip(parameters, directions):
                p.sub_(d, alpha=sign * 1e-6)
    assert float(values[0] - values[1]) / 2e-6 == pytest.approx(float(slope), rel=1e-5, abs=1e-8)
    assert abs(float(slope)) > 1e-3


def test_a_step_against_the_penalty_makes_f_contract_more(make_problem) -> None:
    problem = make_problem("tanh")
    optimizer = torch.optim.SGD(problem.f.parameters(), lr=1.0)
    before = problem.jacobians().square().sum()
    for _ in range(5):
        optimizer.zero_grad()
        jacobian_penalty(problem.map, problem.fixed_point(), 4).mean().backward()
        optimizer.step()
    assert problem.jacobians().square().sum() < 0.9 * before


def test_the_power_iteration_finds_the_spectral_radius(problem) -> None:
    """From one training step to the next: 20 short calls that hand their direction on."""
    x, direction = problem.fixed_point(), None
    for _ in range(20):
        rate, direction = power_iteration(problem.map, x, direction, 20)
    expected = torch.linalg.eigvals(problem.jacobians()).abs().amax(1)
    # A rotating pair makes the rate of any 20 iterations swing a little.
    assert_close(rate, expected, rtol=0.05, atol=0)
    assert not rate.requires_grad


def test_its_direction_is_a_left_eigenvector_where_the_largest_eigenvalue_is_real() -> None:
    M = torch.diag(torch.tensor([0.9, 0.3, -0.2], dtype=torch.float64))
    M[0, 1] = 0.8
    _, v = power_iteration(lambda x: x @ M.mT, torch.zeros(2, 3, dtype=torch.float64), None, 80)
    # Row vectors times M: a forward power iteration would find (1, 0, 0) instead.
    assert_close(v @ M, 0.9 * v)
    assert abs(float(v[0, 1])) > 0.5


def test_estimates_without_grad_and_bad_choices(make_problem) -> None:
    problem = make_problem("pair")
    with torch.no_grad():
        assert not jacobian_penalty(problem.map, problem.start()).requires_grad
        power_iteration(problem.map, problem.start(), None, 1)
    for call, message in (
        (lambda: jacobian_penalty(problem.map, problem.start(), 0), "probes: 0 given"),
        (lambda: power_iteration(problem.map, problem.start(), None, 0), "iterations: 0 given"),
        (
            lambda: power_iteration(problem.map, problem.start(), torch.ones(2, 3)),
            "direction: shape",
        ),
        (lambda: jacobian_penalty(lambda x: x.detach(), torch.ones(2, 3)), "no graph"),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("estimate", [jacobian_penalty, power_iteration])
def test_a_jacobian_of_which_nothing_is_seen_is_told(estimate) -> None:
    """A penalty of zero would look like a map that needs none."""
    w, x = torch.ones(3, requires_grad=True), torch.ones(2, 3)
    with pytest.warns(DeqlabWarning, match="none of its argument"):
        estimate(lambda x: w * x.detach(), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate(lambda x: w * x, x)
        estimate(lambda x: x, x)
