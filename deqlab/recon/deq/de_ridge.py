"""DE-Ridge: the equilibrium of an energy, reached by descent that is a theorem.

It minimises F(x) = 1/2 ||A x - y||^2 + weight E(x) with the learned ridge regulariser E of
`deqlab.networks.ridge` (arXiv 2211.12461, and weakly convex arXiv 2308.10542). Its fixed points are
those of DE-Grad with the denoiser R = I - grad E, for x - R(x) = grad E(x); weight and level follow
the measurement as in `deqlab.recon.deq.measured_de_grad`. Departures from the papers: the weight is
learned through the equilibrium, and descent is preconditioned.
"""

import math
from typing import Annotated, Any

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Number, Positive, option, options
from deqlab.networks.protocol import at_level
from deqlab.networks.registry import DENOISERS
from deqlab.networks.ridge import Ridge, RidgeOptions
from deqlab.recon.deq.de_grad import ACCURACY, GradientMap, PreconditionedMap
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad, MeasuredDEGradOptions

# A stop at 1e-3 leaves a decibel and more of the equilibrium: what is left lies along slow modes,
# where nothing was measured.
TOLERANCE, MAX_EVALUATIONS = 1e-4, 150

# The longest step that training may learn, below the 2 where descent ends.
LONGEST = 1.9


@options
class DERidgeOptions(MeasuredDEGradOptions):
    """The architecture of `DERidge`."""

    denoiser: Annotated[Any, DENOISERS] = option(
        RidgeOptions(), "a ridge regulariser's step of descent"
    )
    weight: Positive = option(
        0.8, "of the regulariser against the data at 1 % noise and 4x to begin with; it is learned"
    )
    powers: tuple[Number, Number] = option(
        (0.8, 0.9),
        "of noise and of acceleration, with which the weight grows to begin with; they are learned",
    )
    level: Positive = option(
        0.005,
        "noise that the regulariser is told of at 1 % noise and 4x to begin with, relative to max"
        " |A^H y|; it is learned",
    )
    level_powers: tuple[Number, Number] = option(
        (0.5, 0.4), "those of the level to begin with; they are learned"
    )
    step: Annotated[float, Gt(0), Lt(LONGEST)] = option(
        1.0, "step to begin with, relative to the inverse of the curvature; it is learned"
    )


class DERidge(MeasuredDEGrad):
    """The equilibrium x = f(x) of f(x) = x - eta P grad F(x): a critical point of F. Its arguments
    are `DERidgeOptions`.

    P is the polynomial of `PreconditionedMap`, or 1 in `fixed_point_map`. Let the Hessian of E lie
    in [m, 1] (`Ridge.curvature`; m >= -rho) and the eigenvalues of A^H A in [mu, L]. The Hessian of
    F is at most L + weight, and at most c = 1 + `ACCURACY` in the metric of P^-1, since p(lambda)
    (lambda + weight) <= c. So for eta = step / (L + weight), or step / c, and step < 2, which
    training cannot leave:

    - f descends from anywhere, whatever A: F(f(x)) <= F(x) - (1 / step - 1/2) d for d = (L +
      weight) ||x - f(x)||^2, or c <x - f(x), P^-1 (x - f(x))>. F is not negative, so the residual
      of Picard iteration vanishes.
    - Where rho = 0, F is convex and every fixed point a global minimiser; f is averaged in the
      metric, so Picard iteration converges to one of them if there is any.
    - Where mu + weight m > 0, F is strongly convex: there is one fixed point, and f contracts
      (`deqlab.theory.contraction.de_ridge`). So it is for every A where rho = 0 and floor > 0.

    The default solver, Anderson's, finds the same points sooner, but of Picard's steps alone is all
    this proven.
    """

    Options = DERidgeOptions

    def __init__(
        self,
        *values: Any,
        tolerance: float = TOLERANCE,
        max_evaluations: int = MAX_EVALUATIONS,
        **named: Any,
    ):
        super().__init__(*values, tolerance=tolerance, max_evaluations=max_evaluations, **named)
        if not isinstance(self.denoiser, Ridge):
            raise InputError(
                f"denoiser: {type(self.denoiser).__name__} given, a ridge needed, for it has an"
                " energy"
            )

    @torch.no_grad()
    def after_step(self) -> None:
        """What the ridge promises, and a step that descends."""
        super().after_step()
        self.log_step.clamp_(max=math.log(LONGEST))

    def _told(self, level: Tensor, A: Any) -> Any:
        """The ridge itself: its energy is that of the image as it lies."""
        return at_level(self.denoiser, level)

    def energy(self, x: Tensor, kspace: Tensor, A: Any) -> Tensor:
        """F(x) = 1/2 ||A x - y||^2 + weight E(x), real (batch,), of images (batch, y, x)."""
        _, A, denoiser, _, weight = self._parts(kspace, A)
        misfit = (A(x) - kspace).abs().square().sum((1, 2, 3)) / 2
        return misfit + weight.flatten() * denoiser.denoiser.energy(x, denoiser.level)

    def fixed_point_map(self, kspace: Tensor, A: Any) -> GradientMap:
        """f(x) = x - eta (A^H (A x - y) + weight grad E(x)), eta = step / (||A||^2 + weight)."""
        projection, A, denoiser, step, weight = self._parts(kspace, A)
        step = step / (A.squared_norm(projection) + weight)
        return GradientMap(projection, A, denoiser, step, weight)

    def iterated_map(self, kspace: Tensor, A: Any) -> PreconditionedMap:
        """f(x) = x - eta P (A^H (A x - y) + weight grad E(x)), eta = step / (1 + `ACCURACY`)."""
        projection, A, denoiser, step, weight = self._parts(kspace, A)
        largest = A.squared_norm(projection)
        step = step / (1 + ACCURACY)
        return PreconditionedMap(projection, A, denoiser, step, weight, largest=largest)
