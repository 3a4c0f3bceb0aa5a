"""An equilibrium as a differentiable function and as a layer."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from deqlab.equilibrium.gradients import ImplicitGradient
from deqlab.solvers import Anderson, Solution, solve


def equilibrium(
    f: Callable[[Tensor], Tensor],
    x0: Tensor,
    solver=Anderson(),
    gradient=ImplicitGradient(),
    tolerance: float = 1e-3,
    max_evaluations: int = 50,
) -> Solution:
    """The solution of x = f(x) with a differentiable `value`, in memory that does not grow with the evaluations.

    The solve records no graph; f is then evaluated once more, with grad, and `gradient` attaches its rule there. So `value` is
    f at the solved iterate, one evaluation past the one whose residual the Solution reports.
    """
    solution = solve(f, x0, solver, tolerance, max_evaluations)
    return replace(solution, value=gradient(f, solution.value))


class EquilibriumLayer(nn.Module):
    """x* = f(x*, inputs), as a layer: `layer(x0, *inputs)` returns x* and leaves the Solution in `layer.solution`.

    f: a module (x, *inputs) -> x. solver, gradient: objects, see `deqlab.solvers` and `deqlab.equilibrium.gradients`.
    May be called any number of times before `backward`; each call keeps its own graph.
    """

    def __init__(self, f: nn.Module, solver=Anderson(), gradient=ImplicitGradient(), tolerance: float = 1e-3, max_evaluations: int = 50):
        super().__init__()
        self.f, self.solver, self.gradient = f, solver, gradient
        self.tolerance, self.max_evaluations = tolerance, max_evaluations
        self.solution: Solution | None = None

    def forward(self, x0: Tensor, *inputs) -> Tensor:
        """The equilibrium reached from `x0`, (batch, ...)."""
        solution = equilibrium(
            lambda x: self.f(x, *inputs), x0, self.solver, self.gradient, self.tolerance, self.max_evaluations
        )
        self.solution = replace(solution, value=solution.value.detach())
        return solution.value
