"""Reconstructors whose image is a fixed point: DE-Prox and DE-Grad."""

import torch
from torch import Tensor, nn

from deqlab.core.errors import positive
from deqlab.equilibrium import ImplicitGradient, equilibrium
from deqlab.operators import LinearOperator
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.solvers import Anderson, Solution, solve

# How an equilibrium is solved for unless somebody says otherwise.
TOLERANCE, MAX_EVALUATIONS = 1e-3, 50

# A trained denoiser has kinks, and differences from beyond them mislead: of the shipped DE-Prox's
# test slices at 8x all were done within 50 evaluations with five of them, 97 % with ten.
SOLVER = Anderson(memory=5)


def log_parameter(name: str, value: float) -> nn.Parameter:
    """The logarithm of `value`, to be learned, so that `value` stays positive. InputError where it
    has none.
    """
    return nn.Parameter(torch.tensor(positive(name, value)).log())


class EquilibriumReconstructor(nn.Module):
    """image = x* with x* = f(x*; y, A), reached from the zero-filled image.

    denoiser: R, complex (batch, y, x) to the same. solver, gradient, tolerance, max_evaluations:
    how the equilibrium is found and differentiated; they may be changed at any time and at call
        time, for they are no part of what was learned. At call time tolerance and max_evaluations
        may be tensors (batch,) too, one number for each sample.
    The step size eta is learned, through its logarithm so that it stays positive.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        step: float = 1.0,
        solver=SOLVER,
        gradient=ImplicitGradient(),
        tolerance: float = TOLERANCE,
        max_evaluations: int = MAX_EVALUATIONS,
    ):
        super().__init__()
        self.denoiser = denoiser
        self.log_step = log_parameter("step", step)
        self.solver, self.gradient = solver, gradient
        self.tolerance, self.max_evaluations = tolerance, max_evaluations

    @property
    def step(self) -> Tensor:
        """The step size eta."""
        return self.log_step.exp()

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> FixedPointMap:
        """f for these measurements: a function of the image alone."""
        raise NotImplementedError

    def iterated_map(self, kspace: Tensor, A: LinearOperator) -> FixedPointMap:
        """The map that is iterated: f, or another with the fixed points of f that reaches them
        sooner. Residuals are its own.
        """
        return self.fixed_point_map(kspace, A)

    @torch.no_grad()
    def solve(
        self,
        kspace: Tensor,
        A: LinearOperator,
        tolerance: float | Tensor | None = None,
        max_evaluations: int | Tensor | None = None,
        x0: Tensor | None = None,
        callback=None,
    ) -> Solution:
        """The Solution from `x0` (the zero-filled image where None), without a graph."""
        f = self.iterated_map(kspace, A)
        return solve(
            f,
            f.projection if x0 is None else x0,
            self.solver,
            *self._budget(tolerance, max_evaluations),
            callback,
        )

    def equilibrium(
        self,
        kspace: Tensor,
        A: LinearOperator,
        tolerance: float | Tensor | None = None,
        max_evaluations: int | Tensor | None = None,
    ) -> Solution:
        """The Solution with a differentiable value, for training."""
        f = self.iterated_map(kspace, A)
        return equilibrium(
            f, f.projection, self.solver, self.gradient, *self._budget(tolerance, max_evaluations)
        )

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return (
            self.equilibrium(kspace, A).value
            if torch.is_grad_enabled()
            else self.solve(kspace, A).value
        )

    def _budget(
        self, tolerance: float | Tensor | None, max_evaluations: int | Tensor | None
    ) -> tuple[float | Tensor, int | Tensor]:
        return (
            self.tolerance if tolerance is None else tolerance,
            self.max_evaluations if max_evaluations is None else max_evaluations,
        )
