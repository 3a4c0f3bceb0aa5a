"""The momentum iteration run backwards gives the gradient of the momentum iteration run
forwards.
"""

from __future__ import annotations

import gc
import warnings
import weakref

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.equilibrium import EquilibriumLayer, Invertible, momentum_unrolled


def plain(problem, as_rows, as_state, start, k: int, momentum: float):
    """The same iteration under ordinary autograd."""
    x, v = as_state(start, problem.g), torch.zeros_like(start)
    for _ in range(k):
        v = momentum * v + (1 - momentum) * (as_rows(problem.map(x)) - as_rows(x))
        x = as_state(as_rows(x) + v, problem.g)
    return x


@pytest.mark.parametrize(("k", "momentum"), [(1, 0.5), (2, 0.1), (20, 0.5), (40, 0.9), (100, 0.9)])
def test_the_gradient_is_that_of_plain_autograd(
    problem, as_rows, as_state, k: int, momentum: float
) -> None:
    """In the parameters, in the inputs that f closes over and in the start, complex128, to 1e-8."""
    start = torch.randn_like(as_rows(problem.g)).requires_grad_()
    found = []
    for x in (
        momentum_unrolled(problem.map, as_state(start, problem.g), k, momentum),
        plain(problem, as_rows, as_state, start, k, momentum),
    ):
        loss = problem.loss(x)
        found.append(
            (as_rows(x).detach(), problem.gradients(loss), torch.autograd.grad(loss, start)[0])
        )
    assert torch.equal(found[0][0], found[1][0])
    for one, other in zip(*found):
        assert_close(one, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


def test_a_start_without_gradient(problem, as_rows, as_state) -> None:
    """At the first step f saves less, and the walk back must save as little."""
    start = torch.randn_like(as_rows(problem.g))
    found = [
        problem.gradients(problem.loss(x))
        for x in (
            momentum_unrolled(problem.map, as_state(start, problem.g), 5, 0.7),
            plain(problem, as_rows, as_state, start, 5, 0.7),
        )
    ]
    assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)


def test_the_graph_serves_twice_and_in_two_orders(problem) -> None:
    x = momentum_unrolled(problem.map, problem.start(), 6, 0.7)
    first = problem.gradients(problem.loss(x))
    assert torch.equal(problem.gradients(problem.loss(x)), first)
    second = []
    for y in (x, momentum_unrolled(problem.map, problem.start(), 6, 0.7)):
        slope = torch.autograd.grad(problem.loss(y).square(), problem.y, create_graph=True)[0]
        second.append(problem.gradients(slope.abs().square().sum()))
    assert_close(second[0], second[1])


def test_a_second_derivative_is_the_plain_one(make_problem, as_rows, as_state) -> None:
    problem = make_problem("tanh")
    second = []
    for x in (
        momentum_unrolled(problem.map, problem.start(), 5, 0.7),
        plain(problem, as_rows, as_state, as_rows(problem.start()), 5, 0.7),
    ):
        slope = torch.autograd.grad(problem.loss(x).square(), problem.y, create_graph=True)[0]
        second.append(problem.gradients(slope.abs().square().sum()))
    assert_close(second[0], second[1], rtol=1e-9, atol=1e-9)


def test_one_more_evaluation_a_step(make_problem) -> None:
    problem, calls = make_problem("tanh"), []
    x = momentum_unrolled(lambda x: (calls.append(1), problem.map(x))[1], problem.start(), 9, 0.7)
    assert len(calls) == 9
    problem.gradients(problem.loss(x))
    assert len(calls) == 18


def test_the_rule_comes_near_the_truth(problem) -> None:
    """32 steps of momentum 0.5 from the solution leave 1 % or less of the truth undone."""
    x = EquilibriumLayer(
        problem.f, gradient=Invertible(32, 0.5), tolerance=1e-13, max_evaluations=300
    )(problem.start(), problem.y)
    found, exact = problem.gradients(problem.loss(x)), problem.exact()
    assert float((found - exact).norm() / exact.norm()) < 1e-2


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_single_precision_of_f_is_enough(momentum: float) -> None:
    """x and v are kept in double precision: after 30 steps a float32 f still has its float32
    gradient.
    """
    w = torch.tensor([0.9, -0.5, 0.3], requires_grad=True)

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x.roll(1, 1) * w + 1)

    start = torch.zeros(2, 3)
    x = momentum_unrolled(f, start, 30, momentum)
    assert x.dtype == torch.float32
    y, v = start, torch.zeros_like(start)
    for _ in range(30):
        v = momentum * v + (1 - momentum) * (f(y) - y)
        y = y + v
    found, expected = (torch.autograd.grad(z.square().sum(), w)[0] for z in (x, y))
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_too_deep_for_the_momentum_is_refused() -> None:
    with pytest.raises(
        InputError, match="k: 40 given, but momentum 0.5 can be run backwards for 32 steps"
    ):
        Invertible(40, 0.5)
    Invertible(32, 0.5)
    with pytest.raises(InputError, match="momentum: 1.0 given"):
        Invertible(4, 1.0)


def test_the_momentum_that_is_named_is_enough() -> None:
    with pytest.raises(InputError) as refused:
        Invertible(100, 0.5)
    Invertible(100, float(str(refused.value).split("at least ")[1].split()[0]))


def test_a_walk_that_misses_its_start_is_told() -> None:
    """f with a slope of -60: what the walk back multiplies is far more than 1 / momentum."""
    w = torch.tensor(-60.0, dtype=torch.float64, requires_grad=True)
    x = momentum_unrolled(
        lambda x: torch.sin(w * x), torch.ones(1, 3, dtype=torch.float64), 30, 0.5
    )
    with pytest.warns(DeqlabWarning, match="the way back missed its start by"):
        x.sum().backward()


def test_a_map_that_changes_its_mind_is_refused(make_problem) -> None:
    problem, calls = make_problem("tanh"), []

    def fickle(x):
        calls.append(1)
        return problem.map(x) if len(calls) <= 3 else 0.5 * x

    x = momentum_unrolled(fickle, problem.start(), 3, 0.7)
    with pytest.raises(InputError, match="it must do the same every time"):
        problem.gradients(problem.loss(x))


class Bound:
    """f for given inputs, as an object of its own."""

    def __init__(self, problem):
        self.problem = problem

    def __call__(self, x):
        return self.problem.map(x)


def test_nothing_outlives_the_step(make_problem) -> None:
    gc.collect()
    gc.disable()
    try:
        problem = make_problem("tanh")
        f = Bound(problem)
        watched = weakref.ref(f)
        x = momentum_unrolled(f, problem.start(), 4, 0.7)
        del f
        assert watched() is not None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            problem.loss(x).backward()
        assert watched() is None
    finally:
        gc.enable()
