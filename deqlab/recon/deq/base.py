"""Reconstructors whose image is the fixed point of a learned map."""

from dataclasses import KW_ONLY, replace
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.errors import positive
from deqlab.core.options import Options, Positive, option, options
from deqlab.equilibrium import ImplicitGradient, equilibrium
from deqlab.equilibrium.protocol import GradientRule
from deqlab.networks.dncnn import DnCNNOptions
from deqlab.networks.protocol import Denoiser, keep_promise
from deqlab.networks.registry import COIL_REFINERS, DENOISERS
from deqlab.operators import LinearOperator
from deqlab.recon.base import Model
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.steps.refined_maps import refined
from deqlab.solvers import Anderson, Solution
from deqlab.solvers.protocol import AnySolver

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


class EquilibriumReconstructor(FixedPointMethod[FixedPointMap[Any]], Model):
    """image = x* with x* = f(x*; y, A), reached from the zero-filled image.

    Its arguments are its `Options`; their `denoiser` is R, complex (batch, y, x) to the same, or
    the options of one. solver, gradient, tolerance, max_evaluations: how the equilibrium is found
    and differentiated; they may be changed at any time and at call time, for they are no part of
    what was learned. At call time tolerance and max_evaluations may be tensors (batch,) too, one
    number for each sample.
    """

    trained_by: ClassVar[str | None] = "equilibrium"

    def __init__(
        self,
        *values: Any,
        solver: AnySolver = SOLVER,
        gradient: GradientRule = ImplicitGradient(),
        tolerance: float = TOLERANCE,
        max_evaluations: int = MAX_EVALUATIONS,
        **named: Any,
    ):
        super().__init__(*values, **named)
        # The objects of the registry promise what a Denoiser does; any other module may stand here.
        self.denoiser: Denoiser | nn.Module = DENOISERS.build(self.options.denoiser)
        self.solver, self.gradient = solver, gradient
        self.tolerance, self.max_evaluations = tolerance, max_evaluations

    def after_step(self) -> None:
        """Bring the denoiser's weights back to what it promises."""
        keep_promise(self.denoiser)

    def equilibrium(
        self,
        kspace: Tensor,
        A: LinearOperator,
        tolerance: float | Tensor | None = None,
        max_evaluations: int | Tensor | None = None,
    ) -> Solution[Tensor]:
        """The Solution with a differentiable image as its value, for training."""
        f = self.iterated_map(kspace, A)
        limits = self.limits(tolerance, max_evaluations)
        solution = equilibrium(f, f.state(self.start(f)), self.solver, self.gradient, *limits)
        return replace(solution, value=f.image(solution.value))

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x); differentiable where
        gradients are wanted.
        """
        if torch.is_grad_enabled():
            return self.equilibrium(kspace, A).value
        return super().forward(kspace, A)


@options
class SteppedOptions(Options):
    """The architecture of a model with a free step size."""

    denoiser: Annotated[Any, DENOISERS] = option(DnCNNOptions(), "the network R")
    step: Positive = option(1.0, "step size eta to begin with; it is learned")
    _: KW_ONLY
    refine: Annotated[Any, COIL_REFINERS] | None = option(
        None, "what refines the coil maps before the solve; None for maps as they are given"
    )


class SteppedReconstructor(EquilibriumReconstructor):
    """An equilibrium whose step size eta is learned, through its logarithm so that it stays
    positive. The coil maps may be refined by a network, which is learned with the others.
    """

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.log_step = log_parameter("step", self.options.step)
        chosen = self.options.refine
        self.refiner = None if chosen is None else COIL_REFINERS.build(chosen)

    def seen(self, kspace: Tensor, A: LinearOperator) -> LinearOperator:
        """The operator of the map: A, with refined coil maps where they are to be."""
        return refined(A, self.refiner, kspace)

    def scalars(self) -> dict[str, float]:
        """The step."""
        return {"step": self.step.item()}

    @property
    def step(self) -> Tensor:
        """The step size eta."""
        return self.log_step.exp()
