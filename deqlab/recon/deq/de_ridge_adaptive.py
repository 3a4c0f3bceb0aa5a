"""DE-Ridge whose regulariser is weaker where the image has much of its own: the fixed point of a
reconstruction and of the mask made from it.

M. Pourya, S. Neumayer and M. Unser, Iteratively refined image reconstruction with learned attentive
regularizers, arXiv 2407.06608: x_(k+1) is the image that minimises the energy with the mask
Lambda(x_k), until both agree; see `deqlab.networks.adaptive_ridge` for the mask. Departure: one
loop, in which every evaluation takes the mask of the image that it is given. What it comes to rest
at is what the two loops come to rest at, for in both grad F_Lambda(x)(x) = 0.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.networks.adaptive_ridge import AdaptiveRidge, AdaptiveRidgeOptions, FrozenRidge
from deqlab.networks.registry import DENOISERS
from deqlab.recon.deq.de_grad import PreconditionedMap
from deqlab.recon.deq.de_ridge import DERidge, DERidgeOptions
from deqlab.solvers import Solution, solve


@options
class DERidgeAdaptiveOptions(DERidgeOptions):
    """The architecture of `DERidgeAdaptive`."""

    denoiser: Annotated[Any, DENOISERS] = option(
        AdaptiveRidgeOptions(), "an adaptive ridge regulariser's step of descent"
    )


class DERidgeAdaptive(DERidge):
    """The equilibrium x = f(x) of f(x) = x - eta P grad F_Lambda(x)(x), F_Lambda(x) = 1/2 ||A x -
    y||^2 + weight E_Lambda(x) with the strengths Lambda(x) of x itself. Its arguments are
    `DERidgeAdaptiveOptions`.

    For fixed Lambda (`frozen_map`) all that `DERidge` says holds, with the same numbers. For
    Lambda(x) there is the energy F (`energy`), which lies below F_Lambda and touches it where
    Lambda was taken (`AdaptiveRidge`). So

    - f descends from anywhere, whatever A and for every step < 2, by what `DERidge` says: F(f(x)) -
      F(x) <= F_Lambda(x)(f(x)) - F_Lambda(x)(x). The residual of Picard iteration vanishes.
    - The outer iteration, x to a minimiser of F_Lambda(x), descends F as well. Where the Hessian H
      of F_Lambda is positive its Jacobian at a fixed point is H^-1 C, C = weight (Hessian of
      E_Lambda - Hessian of E) >= 0: eigenvalues are real and not negative, and below 1 at a strict
      minimum of F. `OuterMap` lets them be measured.
    - Lost is convexity, and with it uniqueness, where rho = 0: F is strongly convex only where mu +
      weight m > 0 for the m of `AdaptiveRidge.curvature`, and with depths of some size that is no
      undersampled A, unless the floor is large.
    """

    Options = DERidgeAdaptiveOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self._ridge()

    def strengths(self, x: Tensor, kspace: Tensor, A: Any) -> tuple[Tensor, ...]:
        """Lambda(x) at each scale, real (batch, channel, y, x), folded as the responses are; of
        images (batch, y, x).
        """
        return self._frozen(x, kspace, A).strengths

    def frozen_map(self, x: Tensor, kspace: Tensor, A: Any) -> PreconditionedMap:
        """The iterated map of the inner problem, with the strengths of the image x."""
        f = self.iterated_map(kspace, A)
        f.denoiser = self._frozen(x, kspace, A)
        return f

    def outer_map(self, kspace: Tensor, A: Any) -> "OuterMap":
        """The two loops' outer one."""
        return OuterMap(self, kspace, A)

    def _frozen(self, x: Tensor, kspace: Tensor, A: Any) -> FrozenRidge:
        denoiser = self._parts(kspace, A)[2]
        return self._ridge().frozen(x, denoiser.level)

    def _ridge(self) -> AdaptiveRidge:
        if not isinstance(self.denoiser, AdaptiveRidge):
            raise InputError(
                f"denoiser: {type(self.denoiser).__name__} given, an adaptive ridge needed, for"
                " strengths that follow the image"
            )
        return self.denoiser


@dataclass(frozen=True)
class OuterMap:
    """x -> a critical point of F_Lambda(x), found from x: its fixed points are those of the model's
    maps.

    tolerance, max_evaluations: of the inner solve. How strongly it contracts is measured by
    `deqlab.equilibrium.measure.worst_direction` and `expansion`, which ask for values alone.
    """

    model: DERidgeAdaptive
    kspace: Tensor
    A: Any
    tolerance: float = 1e-5
    max_evaluations: int = 300

    @torch.no_grad()
    def solve(self, x: Tensor) -> Solution[Tensor]:
        """The inner Solution, complex images (batch, y, x)."""
        f = self.model.frozen_map(x, self.kspace, self.A)
        return solve(f, x, self.model.solver, self.tolerance, self.max_evaluations)

    def __call__(self, x: Tensor) -> Tensor:
        return self.solve(x).value
