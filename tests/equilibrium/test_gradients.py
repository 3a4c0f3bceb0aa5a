"""Gradients through an equilibrium against dense linear algebra, and the laws that all rules
share.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.equilibrium import (
    EquilibriumLayer,
    ImplicitGradient,
    Invertible,
    JacobianFree,
    NeumannSeries,
    Phantom,
    Unrolled,
    adjoint_fixed_point,
    equilibrium,
)
from deqlab.solvers import AbsoluteResidual, Anderson, Picard, solve

PRECISE = ImplicitGradient(tolerance=1e-12, max_evaluations=300)
# Exact in the limit: the Jacobians of these maps have spectral radii of 0.64 and less, and 0.64^80
# is below rounding.
EXACT = [PRECISE, NeumannSeries(80), Phantom(160, 0.6), Unrolled(80, "sqrt")]
UNDAMPED = [PRECISE, JacobianFree(), NeumannSeries(2), Phantom(3, 1.0), Unrolled(3)]
RULES = [PRECISE, JacobianFree(), NeumannSeries(2), Phantom(3, 0.5), Unrolled(3, 2), Invertible(20)]


def name(rule) -> str:
    return type(rule).__name__


def layer(problem, gradient=PRECISE, **options) -> EquilibriumLayer:
    return EquilibriumLayer(
        problem.f, gradient=gradient, **{"tolerance": 1e-13, "max_evaluations": 300} | options
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["affine", "tanh", "convolutional", "pair"])
def test_implicit_gradient_is_the_dense_one(
    make_problem, assert_same_vector, as_rows, kind: str, batch: int
) -> None:
    problem = make_problem(kind, batch)
    x = layer(problem)(problem.start(), problem.y)
    assert_close(as_rows(x), as_rows(problem.fixed_point()), rtol=1e-10, atol=1e-10)
    assert_same_vector(problem.gradients(problem.loss(x)), problem.exact())


@pytest.mark.parametrize("rule", EXACT, ids=name)
def test_rules_that_are_exact_in_the_limit(problem, assert_same_vector, rule) -> None:
    x = layer(problem, rule)(problem.start(), problem.y)
    assert_same_vector(problem.gradients(problem.loss(x)), problem.exact())


@pytest.mark.parametrize("solver", [Picard(), Anderson(memory=3)], ids=repr)
def test_any_solver_serves_both_ways(problem, assert_same_vector, solver) -> None:
    gradient = ImplicitGradient(solver, tolerance=1e-12, max_evaluations=500)
    x = layer(problem, gradient, solver=solver, max_evaluations=500)(problem.start(), problem.y)
    assert_same_vector(problem.gradients(problem.loss(x)), problem.exact())


def test_the_dense_reference_agrees_with_differences(problem) -> None:
    """The yardstick itself: the change of the solved loss along a random change of the inputs."""
    change = torch.randn_like(problem.y)
    gradient = torch.view_as_complex(
        problem.exact()[-2 * problem.y.numel() :].reshape(*problem.y.shape, 2)
    )
    losses = []
    for sign in (1, -1):
        moved = replace(problem, y=problem.y.detach() + sign * 1e-6 * change)
        losses.append(moved.loss(moved.fixed_point()))
    slope = (losses[0] - losses[1]) / 2e-6
    assert float(slope) == pytest.approx(float((gradient.conj() * change).real.sum()), rel=1e-6)


def test_the_theorem_as_a_function(problem, as_rows) -> None:
    """u = J^T u + g, with J^T given as dense matrices."""
    J = problem.jacobians()

    def transpose(u: Tensor) -> Tensor:
        return torch.einsum("bij,bi->bj", J, u)

    u = adjoint_fixed_point(transpose, as_rows(problem.g), tolerance=1e-12, max_evaluations=300)
    assert u.converged.all()
    assert_close(u.value, problem.adjoint(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_two_calls_before_one_backward(problem, rule) -> None:
    """Each call keeps its own graph: the gradient of a sum is the sum of the gradients."""
    solved = layer(problem, rule)
    start = problem.start()
    apart = sum(
        weight * problem.gradients(problem.loss(solved(start, factor * problem.y)))
        for weight, factor in ((1, 1.0), (-2, 0.3))
    )
    first, second = (solved(start, factor * problem.y) for factor in (1.0, 0.3))
    together = problem.gradients(problem.loss(first) - 2 * problem.loss(second))
    assert_close(together, apart)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_a_call_without_grad_between_forward_and_backward(problem, rule) -> None:
    """Validation in the middle of a step: it records nothing and disturbs nothing."""
    solved = layer(problem, rule)
    expected = problem.gradients(problem.loss(solved(problem.start(), problem.y)))
    x = solved(problem.start(), problem.y)
    with torch.no_grad():
        again = solved(problem.start(), problem.y)
    assert not problem.loss(again).requires_grad
    assert torch.equal(problem.loss(again), problem.loss(x))
    assert_close(problem.gradients(problem.loss(x)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_a_second_backward_through_a_kept_graph(problem, rule) -> None:
    x = layer(problem, rule)(problem.start(), problem.y)
    first = problem.gradients(problem.loss(x))
    assert_close(problem.gradients(problem.loss(x)), first, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_the_scale_of_the_loss_does_not_matter(problem, assert_same_vector, scale: float) -> None:
    """With a loose backward tolerance too: what is left undone is the same share of every
    gradient.
    """
    for gradient in (PRECISE, ImplicitGradient(tolerance=1e-2)):
        x = layer(problem, gradient)(problem.start(), problem.y)
        scaled = problem.gradients(scale * problem.loss(x)) / scale
        assert_same_vector(scaled, problem.gradients(problem.loss(x)))


@pytest.mark.parametrize("rule", [ImplicitGradient(tolerance=1e-6), *RULES[1:]], ids=name)
@pytest.mark.parametrize("kind", ["tanh", "pair"])
def test_samples_have_their_own_gradients(make_problem, as_rows, as_state, kind: str, rule) -> None:
    """A sample's input gradient is the same alone and beside a mate whose loss is a million times
    larger.
    """
    problem = make_problem(kind, 3)
    loud = as_rows(problem.g).clone()
    loud[1] *= 1e6
    problem = replace(problem, g=as_state(loud, problem.g))
    x = layer(problem, rule)(problem.start(), problem.y)
    together = torch.autograd.grad(problem.loss(x), problem.y)[0]
    for member in (0, 2):
        alone = problem.member(member)
        x = layer(alone, rule)(alone.start(), alone.y)
        expected = torch.autograd.grad(alone.loss(x), alone.y)[0][0]
        assert_close(together[member], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_a_sample_without_a_finite_cotangent_harms_no_other(
    make_problem, as_rows, as_state, rule
) -> None:
    """NaN in the loss of one sample ends in NaN for that sample, soon, and in nothing else."""
    problem = make_problem("tanh", 3)
    x = layer(problem, rule)(problem.start(), problem.y)
    expected = torch.autograd.grad(problem.loss(x), problem.y, retain_graph=True)[0]
    broken = as_rows(problem.g).clone()
    broken[1] = torch.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        found = torch.autograd.grad(
            replace(problem, g=as_state(broken, problem.g)).loss(x), problem.y
        )[0]
    assert torch.isnan(found[1].abs()).all()
    assert_close(found[[0, 2]], expected[[0, 2]], rtol=1e-10, atol=1e-10)


def test_a_nan_costs_one_product(make_problem, as_rows, as_state) -> None:
    problem, seen = make_problem("tanh", 2), []
    rule = ImplicitGradient(max_evaluations=25, observe=seen.append)
    x = layer(problem, rule)(problem.start(), problem.y)
    broken = as_state(torch.full_like(as_rows(problem.g), torch.nan), problem.g)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        torch.autograd.grad(replace(problem, g=broken).loss(x), problem.y)
    assert seen[0].reason == ["not finite"] * 2 and seen[0].evaluations.tolist() == [1, 1]


def test_jacobian_free_is_its_formula(problem, as_rows) -> None:
    """(df/dw)^T g at the fixed point, no more."""
    x = layer(problem, JacobianFree())(problem.start(), problem.y)
    expected = problem.pulled(as_rows(problem.g))
    assert_close(problem.gradients(problem.loss(x)), expected, rtol=1e-8, atol=1e-8)
    assert float((expected - problem.exact()).norm()) > 0.05 * float(problem.exact().norm())


@pytest.mark.parametrize("rule", UNDAMPED, ids=name)
def test_undamped_rules_are_exact_where_the_jacobian_is_zero(
    make_problem, assert_same_vector, rule
) -> None:
    problem = make_problem("tanh")
    with torch.no_grad():
        problem.f.W.zero_()
    x = layer(problem, rule)(problem.start(), problem.y)
    # The gradient in W itself is not zero: it multiplies x*.
    assert_same_vector(problem.gradients(problem.loss(x)), problem.exact())


@pytest.mark.filterwarnings("ignore:f. its output carries a graph, but none of its argument")
@pytest.mark.parametrize("rule", UNDAMPED, ids=name)
def test_a_map_that_ignores_its_argument_has_a_gradient(rule) -> None:
    w, ones = nn.Parameter(torch.tensor(2.0)), torch.ones(2, 3, dtype=torch.float64)
    solution = equilibrium(lambda x: w * ones, 0 * ones, gradient=rule)
    solution.value.sum().backward()
    assert float(w.grad) == pytest.approx(6.0, rel=1e-6)


@pytest.mark.parametrize("rule", [PRECISE, NeumannSeries(2), Phantom(2, 0.5)], ids=name)
def test_a_graph_that_does_not_lead_to_the_argument_is_told(rule) -> None:
    """With detach inside f the Jacobian would silently count as zero; one part of a tuple that is
    ignored is no reason to worry.
    """
    w, start = nn.Parameter(torch.tensor(0.5)), torch.ones(2, 3, dtype=torch.float64)
    with pytest.warns(DeqlabWarning, match="none of its argument"):
        equilibrium(lambda x: w * x.detach() + 1, start, gradient=rule)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equilibrium(lambda x: w * x + 1, start, gradient=rule)
        equilibrium(
            lambda x: (w * x[0] + 1, w * torch.ones_like(x[1])), (start, start), gradient=rule
        )


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if not isinstance(rule, (Unrolled, Invertible))], ids=name
)
def test_a_second_derivative_is_refused(problem, rule) -> None:
    """The adjoint is not differentiated; silence would give a wrong Hessian."""
    x = layer(problem, rule)(problem.start(), problem.y)
    with pytest.raises(InputError, match="create_graph"):
        torch.autograd.grad(problem.loss(x).square(), problem.y, create_graph=True)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_the_start_gets_no_gradient(problem, as_rows, as_state, rule) -> None:
    start = as_rows(problem.start()).requires_grad_()
    loss = problem.loss(layer(problem, rule)(as_state(start, problem.g), problem.y))
    assert torch.autograd.grad(loss, start, allow_unused=True)[0] is None


@pytest.mark.parametrize("rule", [PRECISE, JacobianFree(), NeumannSeries(2)], ids=name)
def test_the_point_of_differentiation_collects_no_gradient(make_problem, rule) -> None:
    """The backward pass ends at x*, whose gradient nobody asks for: it is neither computed twice
    nor kept.
    """
    problem, points = make_problem("tanh"), []
    solution = equilibrium(
        lambda x: (points.append(x), problem.map(x))[1], problem.start(), gradient=rule
    )
    problem.loss(solution.value).backward()
    assert not (points[-1].is_leaf and points[-1].grad is not None)
    assert problem.f.W.grad is not None


@pytest.mark.parametrize("rule", [PRECISE, NeumannSeries(2)], ids=name)
def test_a_map_without_a_graph_is_named(rule) -> None:
    with pytest.raises(InputError, match="f: its output carries no graph"):
        start = torch.zeros(2, 3, dtype=torch.float64)
        equilibrium(lambda x: 0.5 * x.detach() + 1, start, gradient=rule)


def test_the_layer_reports_its_solution(problem, as_rows) -> None:
    solved = layer(problem)
    assert solved.solution is None
    x = solved(problem.start(), problem.y)
    solution = solved.solution
    assert solution.converged.all() and not as_rows(solution.value).requires_grad
    assert torch.equal(as_rows(solution.value), as_rows(x).detach())
    direct = solve(problem.map, problem.start(), tolerance=1e-13, max_evaluations=300)
    assert solution.evaluations.tolist() == direct.evaluations.tolist()


def test_the_next_solve_may_begin_at_an_earlier_solution(problem, assert_same_vector) -> None:
    first = solve(problem.map, problem.start(), tolerance=1e-13, max_evaluations=300)
    second = equilibrium(problem.map, first, gradient=PRECISE, tolerance=1e-12)
    assert int(second.evaluations.max()) <= 2
    assert_same_vector(problem.gradients(problem.loss(second.value)), problem.exact())


def test_each_sample_has_its_own_budget(make_problem) -> None:
    problem = make_problem("tanh", 3)
    budget = {
        "tolerance": torch.tensor([1e-2, 1e-12, 0.0]),
        "max_evaluations": torch.tensor([50, 50, 4]),
    }
    solved = layer(problem, **budget)
    solved(problem.start(), problem.y)
    evaluations = solved.solution.evaluations.tolist()
    assert evaluations[0] < evaluations[1] and evaluations[2] == 4
    hurried = layer(problem)
    hurried(problem.start(), problem.y, **budget)
    assert hurried.solution.evaluations.tolist() == evaluations
    # For that call alone.
    hurried(problem.start(), problem.y)
    assert hurried.solution.converged.all() and int(hurried.solution.evaluations.min()) > 4


def test_what_stops_a_solve_and_who_watches_it_are_those_of_solve(make_problem) -> None:
    problem, seen = make_problem("tanh"), []
    options = {"tolerance": 1e-3, "criterion": AbsoluteResidual()}
    direct = solve(problem.map, problem.start(), **options)
    watched = equilibrium(
        problem.map,
        problem.start(),
        callback=lambda count, x, running: seen.append(count),
        **options,
    )
    through = layer(problem, **options)
    through(problem.start(), problem.y)
    assert seen == list(range(1, len(direct.trace[0]) + 1))
    assert direct.trace == watched.trace == through.solution.trace
    assert direct.trace != solve(problem.map, problem.start(), tolerance=1e-3).trace


def test_without_grad_nothing_is_recorded(problem, as_rows) -> None:
    with torch.no_grad():
        x = layer(problem)(problem.start(), problem.y)
    assert not as_rows(x).requires_grad
    assert_close(as_rows(x), as_rows(problem.fixed_point()), rtol=1e-10, atol=1e-10)


def test_an_unconverged_backward_is_told_once_a_rule(make_problem) -> None:
    problem, seen = make_problem("affine", 2), []
    rule = ImplicitGradient(tolerance=1e-9, max_evaluations=3, observe=seen.append)
    solved = layer(problem, rule)
    with pytest.warns(
        DeqlabWarning, match=r"2 of 2 samples missed the tolerance 1e-09.*after 3 .*budget"
    ) as told:
        for _ in range(3):
            problem.gradients(problem.loss(solved(problem.start(), problem.y)))
    assert len(told) == 1 and len(seen) == 3
    assert f"{float(seen[0].residual.max()):.2g}" in str(told[0].message)
    # An equal rule is another one: nothing is remembered beyond the object.
    other = ImplicitGradient(tolerance=1e-9, max_evaluations=3, observe=rule.observe)
    assert other == rule and repr(other) == repr(rule)
    with pytest.warns(DeqlabWarning, match="missed the tolerance"):
        problem.gradients(problem.loss(layer(problem, other)(problem.start(), problem.y)))
