"""Four ways to the gradient of the outer loss in the hyperparameters; they differ in what stands
for the inverse Hessian.

With g the inner gradient and hessian its derivative in x, the implicit function theorem gives

    d loss(x(theta)) / d theta_j = -Re<q, d g / d theta_j>,   hessian q = d loss / d x.
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers import LBFGS, OPA, Solution, conjugate_gradient
from deqlab.solvers.flat import flatten, unflatten
from deqlab.theory.bilevel.problem import LINE_SEARCH, MAX_EVALUATIONS, DescentMap, Problem


@dataclass(frozen=True)
class Adjoint:
    """What stands for the solution q of hessian q = d loss / d x, shaped like x, and the products
    with the Hessian it took.
    """

    q: Tensor
    products: int = 0


class Method:
    """A hypergradient: which inner solver it needs and how it comes to q. All methods share the
    inner problem, its tolerance and the outer step.
    """

    name: str

    def solver(self, problem: Problem, x: Tensor, memory: int) -> LBFGS:
        """The inner solver, which keeps `memory` pairs; x is where the solve will begin."""
        return LBFGS(memory=memory, line_search=LINE_SEARCH)

    def adjoint(
        self,
        f: DescentMap,
        solution: Solution,
        cotangent: Tensor,
        tolerance: float,
        previous: Tensor | None,
    ) -> Adjoint:
        """q for d loss / d x = `cotangent` at the inner solution of f; `previous` is the last outer
        step's q.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class FullInversion(Method):
    """q by conjugate gradients, as exactly as the inner problem is solved, starting at the last
    outer step's q: HOAG.

    Source: F. Pedregosa, Hyperparameter optimization with approximate gradient, ICML 2016,
        algorithm 1.
    """

    name: str = "HOAG"

    def adjoint(
        self,
        f: DescentMap,
        solution: Solution,
        cotangent: Tensor,
        tolerance: float,
        previous: Tensor | None,
    ) -> Adjoint:
        """The tolerance is that of the inner solve."""
        return _inversion(f, solution, cotangent, previous, tolerance, MAX_EVALUATIONS)


@dataclass(frozen=True)
class SHINE(Method):
    """q = step B v: the inverse that L-BFGS built while it solved the inner problem, for the price
    of a few inner products.

    refine: so many conjugate gradient steps from there. Source: Z. Ramzi et al., SHINE: sharing the
    inverse estimate from the forward pass for bi-level optimization and implicit models, ICLR 2022,
    sec. 2.2.
    """

    refine: int = 0
    name: str = "SHINE"

    def adjoint(
        self,
        f: DescentMap,
        solution: Solution,
        cotangent: Tensor,
        tolerance: float,
        previous: Tensor | None,
    ) -> Adjoint:
        """The solver's inverse is that of I - J = step hessian, hence the step."""
        if solution.inverse is None:
            raise InputError("solution: it has no inverse; a quasi-Newton solver, as LBFGS, needed")
        q = f.step * unflatten(solution.inverse.apply(flatten(cotangent)), cotangent)
        return (
            _inversion(f, solution, cotangent, q, tolerance, self.refine)
            if self.refine
            else Adjoint(q)
        )


@dataclass(frozen=True)
class AwareSHINE(SHINE):
    """SHINE whose solver also probes the outer gradient's direction (OPA), every so many steps, at
    one more evaluation each.

    Source: Ramzi et al., ICLR 2022, sec. 2.3 (outer-problem awareness).
    """

    every: int = 5
    name: str = "SHINE + OPA"

    def solver(self, problem: Problem, x: Tensor, memory: int) -> LBFGS:
        """The direction is d loss / d x at the start of the solve: one outer gradient, and after a
        warm start nearly the one in question.
        """
        cotangent = problem.validation(x)[1]
        return LBFGS(
            memory=memory, line_search=LINE_SEARCH, opa=OPA(lambda _: cotangent, every=self.every)
        )


@dataclass(frozen=True)
class JacobianFree(Method):
    """q = step v: the inverse of I - J = step hessian is taken for the identity.

    Source: S. W. Fung et al., JFB: Jacobian-free backpropagation for implicit networks, AAAI 2022.
    """

    name: str = "Jacobian-free"

    def adjoint(
        self,
        f: DescentMap,
        solution: Solution,
        cotangent: Tensor,
        tolerance: float,
        previous: Tensor | None,
    ) -> Adjoint:
        """Only its direction says anything; the outer step adapts to its length."""
        return Adjoint(f.step * cotangent)


@dataclass(frozen=True)
class Forward:
    """The outer loss at theta: f is the map of the inner solve, `cotangent` the gradient of the
    loss in x, (1, ...).
    """

    loss: float
    cotangent: Tensor
    solution: Solution
    f: DescentMap


def forward(
    problem: Problem,
    theta: Tensor,
    method: Method,
    tolerance: float,
    start: Tensor,
    memory: int = 30,
) -> Forward:
    """Solves the inner problem at theta (k,) from `start` (1, ...) to `tolerance`, as
    `DescentMap.solve` understands it.
    """
    f = DescentMap(problem, theta)
    solution = f.solve(start, tolerance, method.solver(problem, start, memory))
    loss, cotangent = problem.validation(solution.value)
    return Forward(loss, cotangent, solution, f)


def backward(
    method: Method, at: Forward, tolerance: float, previous: Tensor | None = None
) -> tuple[Tensor, Adjoint]:
    """The hypergradient (k,) by `method`, and the adjoint it rests on; `previous` is where a full
    inversion starts.
    """
    adjoint = method.adjoint(at.f, at.solution, at.cotangent, tolerance, previous)
    return -at.f.problem.cross(at.f.theta, at.solution.value, adjoint.q), adjoint


def hypergradient(
    problem: Problem, theta: Tensor, method: Method, tolerance: float = 1e-6, memory: int = 30
) -> Tensor:
    """d loss(x(theta)) / d theta, (k,), by `method`, with both problems solved to `tolerance` from
    the problem's start.
    """
    return backward(
        method, forward(problem, theta, method, tolerance, problem.start(), memory), tolerance
    )[0]


def _inversion(
    f: DescentMap,
    solution: Solution,
    cotangent: Tensor,
    start: Tensor | None,
    tolerance: float,
    budget: int,
) -> Adjoint:
    hessian = f.problem.hessian(f.theta, solution.value)
    found = conjugate_gradient(hessian, cotangent, start, tolerance, budget)
    return Adjoint(found.value, int(found.evaluations.max()))
