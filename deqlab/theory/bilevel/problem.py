"""What bilevel optimisation needs to know of a problem: the gradient and the curvature of its inner
objective, and the outer loss.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from deqlab.solvers import LBFGS, AbsoluteResidual, Backtracking, Solution, solve
from deqlab.solvers.flat import flatten

# A solve that needs more than this says so in its reason.
MAX_EVALUATIONS = 2000
# Full steps nearly always; without the search L-BFGS overshoots where smoothing is strong and its
# penalty nearly has a kink.
LINE_SEARCH = Backtracking(growth=1.5)


class Problem:
    """min over theta of loss(x(theta)), where x(theta) = argmin over x of energy(theta, x),
    strongly convex and twice differentiable in x.

    A subclass sets the attributes below and writes the methods. x has shape (1, ...), real or
    complex; all inner products are Re<a, b>, and a gradient g of a complex x is the one with
    energy(x + d) = energy(x) + Re<g, d> + O(|d|^2).

    name: for tables. theta0: where the search starts, real (k,): logarithms of weights. low, high:
        the interval that holds every theta.
    """

    name: str
    theta0: Tensor
    low: float
    high: float

    def start(self) -> Tensor:
        """The x from which the first inner solve begins, (1, ...)."""
        raise NotImplementedError

    def energy(self, theta: Tensor, x: Tensor) -> Tensor:
        """The inner objective, a scalar tensor."""
        raise NotImplementedError

    def gradient(self, theta: Tensor, x: Tensor) -> Tensor:
        """The gradient of the energy in x, shaped like x."""
        raise NotImplementedError

    def hessian(self, theta: Tensor, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> (second derivative of the energy in x) v: symmetric and positive definite under
        Re<a, b>.
        """
        raise NotImplementedError

    def cross(self, theta: Tensor, x: Tensor, q: Tensor) -> Tensor:
        """Re<d gradient / d theta_j, q> for every j, real (k,)."""
        raise NotImplementedError

    def bound(self, theta: Tensor) -> float:
        """A number that no eigenvalue of the Hessian exceeds, at any x; its inverse is a safe step
        of gradient descent.
        """
        raise NotImplementedError

    def validation(self, x: Tensor) -> tuple[float, Tensor]:
        """The outer loss at x and its gradient there, shaped like x."""
        raise NotImplementedError

    def test(self, theta: Tensor, x: Tensor) -> float:
        """The loss on data that neither level sees. Never timed and never used by a method."""
        raise NotImplementedError

    @cached_property
    def scale(self) -> float:
        """||gradient|| at x = 0 and theta0, where the penalties are at rest: the unit of all
        tolerances.
        """
        return float(flatten(self.gradient(self.theta0, torch.zeros_like(self.start()))).norm())


class DescentMap:
    """f(x) = x - gradient(theta, x) / bound(theta): its fixed point is x(theta), and I - J =
    Hessian / bound, symmetric.

    evaluations: how often f has been called, by whomever.
    """

    def __init__(self, problem: Problem, theta: Tensor):
        self.problem, self.theta = problem, theta
        self.step = 1 / problem.bound(theta)
        self.evaluations = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.evaluations += 1
        return x - self.step * self.problem.gradient(self.theta, x)

    def solve(
        self,
        start: Tensor,
        tolerance: float,
        solver: LBFGS = LBFGS(memory=30, line_search=LINE_SEARCH),
    ) -> Solution:
        """The inner problem solved to ||gradient|| <= tolerance * problem.scale, from `start` (1,
        ...).

        Not relative to x: where the curvature is small against its bound, f moves x but little,
        near the solution or not.
        """
        smallest = self.step * tolerance * self.problem.scale
        return solve(
            self,
            start,
            solver,
            tolerance=smallest,
            max_evaluations=MAX_EVALUATIONS,
            criterion=AbsoluteResidual(),
        )
