"""Every hypergradient against the dense implicit one and against finite differences of solved
problems.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from deqlab.solvers.flat import flatten, unflatten
from deqlab.theory.bilevel.hypergradient import (
    SHINE,
    AwareSHINE,
    FullInversion,
    JacobianFree,
    backward,
    forward,
    hypergradient,
)
from deqlab.theory.bilevel.problem import Problem

TIGHT = 1e-12


def implicit(problem: Problem, theta: Tensor, x: Tensor, dense_hessian) -> Tensor:
    """The hypergradient at the solution x by a dense solve."""
    _, cotangent = problem.validation(x)
    q = torch.linalg.solve(dense_hessian(problem, theta, x), flatten(cotangent)[0])
    return -problem.cross(theta, x, unflatten(q[None], x))


def slope(problem: Problem, theta: Tensor, h: float = 1e-4) -> Tensor:
    """The hypergradient by central differences of the outer loss."""

    def loss(at: Tensor) -> float:
        return forward(problem, at, FullInversion(), TIGHT, problem.start()).loss

    moves = h * torch.eye(len(theta), dtype=theta.dtype)
    return torch.tensor(
        [(loss(theta + move) - loss(theta - move)) / (2 * h) for move in moves], dtype=torch.float64
    )


class Wronged(FullInversion):
    """A full inversion with its sign turned."""

    def adjoint(self, *arguments):
        found = super().adjoint(*arguments)
        return type(found)(-found.q, found.products)


def test_full_inversion_is_the_slope_of_the_solved_problem(problem: Problem) -> None:
    theta = problem.theta0 - 2
    expected = slope(problem, theta)
    assert_close(
        hypergradient(problem, theta, FullInversion(), TIGHT), expected, rtol=1e-4, atol=1e-8
    )
    with pytest.raises(AssertionError):
        assert_close(
            hypergradient(problem, theta, Wronged(), TIGHT), expected, rtol=1e-4, atol=1e-8
        )


def test_full_inversion_is_the_dense_implicit_gradient(problem: Problem, dense_hessian) -> None:
    theta = problem.theta0 - 2
    x = forward(problem, theta, FullInversion(), TIGHT, problem.start()).solution.value
    assert_close(
        hypergradient(problem, theta, FullInversion(), TIGHT),
        implicit(problem, theta, x, dense_hessian),
        rtol=1e-8,
        atol=1e-12,
    )


def test_tolerance_bounds_the_error(problem: Problem, dense_hessian) -> None:
    """A thousand times tighter, at least a hundred times better."""
    theta = problem.theta0 - 2
    x = forward(problem, theta, FullInversion(), TIGHT, problem.start()).solution.value
    exact = implicit(problem, theta, x, dense_hessian)
    loose, tight = (
        (hypergradient(problem, theta, FullInversion(), t) - exact).norm() for t in (1e-3, 1e-6)
    )
    assert tight < loose / 100


def test_shine_is_near_the_full_inversion_when_its_memory_exceeds_the_unknowns(
    logistic, dense_hessian
) -> None:
    """Six unknowns and thirty pairs: what the solve learned is the whole Hessian, or nearly."""
    problem = logistic(features=6, samples=20)
    theta = problem.theta0 - 2
    expected = hypergradient(problem, theta, FullInversion(), TIGHT)
    assert_close(hypergradient(problem, theta, SHINE(), TIGHT), expected, rtol=2e-2, atol=0)
    # Jacobian-free is far off here, so the agreement says something.
    assert (
        hypergradient(problem, theta, JacobianFree(), TIGHT) - expected
    ).norm() > 0.5 * expected.norm()


def test_refinement_brings_shine_to_the_full_inversion(problem: Problem) -> None:
    theta = problem.theta0 - 2
    expected = hypergradient(problem, theta, FullInversion(), 1e-8)
    assert_close(
        hypergradient(problem, theta, SHINE(refine=200), 1e-8), expected, rtol=1e-5, atol=1e-9
    )


def test_awareness_turns_the_inverse_towards_the_direction_in_question(
    logistic, dense_hessian
) -> None:
    """cos(q, H^-1 v) of a tight solve, with and without the extra pairs. After a loose solve, of a
    dozen pairs, it goes either way.
    """
    cosines = {}
    for method in (SHINE(), AwareSHINE()):
        found = []
        for features in (20, 25, 30, 40, 50):
            problem = logistic(features=features, samples=2 * features)
            theta = problem.theta0 - 3
            at = forward(problem, theta, method, 1e-6, problem.start())
            exact = torch.linalg.solve(
                dense_hessian(problem, theta, at.solution.value), at.cotangent[0]
            )
            found.append(float(cosine_similarity(backward(method, at, 1e-6)[1].q[0], exact, dim=0)))
        cosines[method.name] = found
    assert all(aware > plain for plain, aware in zip(cosines["SHINE"], cosines["SHINE + OPA"]))
    assert min(cosines["SHINE + OPA"]) > 0.92


def test_jacobian_free_takes_the_bound_for_the_hessian(problem: Problem) -> None:
    theta = problem.theta0 - 2
    at = forward(problem, theta, JacobianFree(), 1e-6, problem.start())
    gradient, adjoint = backward(JacobianFree(), at, 1e-6)
    assert_close(adjoint.q * problem.bound(theta), at.cotangent)
    assert adjoint.products == 0
    assert_close(
        gradient, -problem.cross(theta, at.solution.value, at.cotangent) / problem.bound(theta)
    )


def test_work_is_counted(logistic) -> None:
    problem = logistic()
    calls = {"gradient": 0, "product": 0}
    gradient, hessian = problem.gradient, problem.hessian

    def counted_gradient(*arguments):
        calls["gradient"] += 1
        return gradient(*arguments)

    def counted_hessian(*arguments):
        product = hessian(*arguments)

        def counted(v):
            calls["product"] += 1
            return product(v)

        return counted

    assert problem.scale > 0
    problem.gradient, problem.hessian = counted_gradient, counted_hessian
    for method in (FullInversion(), SHINE(), SHINE(refine=3), AwareSHINE(every=2), JacobianFree()):
        calls.update(gradient=0, product=0)
        at = forward(problem, problem.theta0 - 2, method, 1e-6, problem.start())
        _, adjoint = backward(method, at, 1e-6)
        assert (at.f.evaluations, adjoint.products) == (calls["gradient"], calls["product"])
        assert (adjoint.products > 0) == (method in (FullInversion(), SHINE(refine=3)))
