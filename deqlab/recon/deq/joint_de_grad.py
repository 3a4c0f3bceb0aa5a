"""DE-Grad with the phase map as a second unknown of the equilibrium: the state is a pair (x, q).

The denoiser is shown the image turned by q, and q follows the image. A separate phase map that is
regularised beside the image: J. A. Fessler and D. C. Noll, Iterative image reconstruction in MRI
with separate magnitude and phase regularization, ISBI 2004; F. Zhao et al., Separate magnitude and
phase regularization via compressed sensing, IEEE TMI 31 (2012). Here nothing is minimised: the pair
is at rest where x is an equilibrium of DE-Grad with the phase q, and q the smoothed phase of x.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Self

import torch
from annotated_types import Gt, Le
from torch import Tensor

from deqlab.core.options import Positive, option, options
from deqlab.networks.turned import Turned, unit_phase
from deqlab.recon.deq.de_grad import PreconditionedMap
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad, MeasuredDEGradOptions
from deqlab.recon.steps.guided_phase import GuidedPhase

Pair = tuple[Tensor, Tensor]


@dataclass
class JointMap(FixedPointMap[Pair]):
    """f(x, u q) = (x+, u q+): x+ is the step of `PreconditionedMap` at x with the denoiser z -> p
    R(conj(p) z), p = q / |q|, and q+ = (1 - rate) q + rate S(x+).

    x: image; q: of modulus at most 1; both complex (batch, y, x). u: the root mean square of A^H y,
    so that in a residual both parts count alike whatever the units of k-space. S: `smoothing`.
    The pair turns and scales with k-space: x as c, u q as c too.
    weight: real (batch, 1, 1). largest: a bound of ||A||^2, real (batch, 1, 1).
    """

    weight: Tensor = field(kw_only=True)
    largest: Tensor = field(kw_only=True)
    smoothing: GuidedPhase = field(kw_only=True)
    rate: float = field(kw_only=True)

    def __call__(self, state: Pair, /) -> Pair:
        x, q = state
        denoised = Turned(self.denoiser, unit_phase(q))(x)
        x = self._descent.stepped(x, self._descent.gradient_beside(x, denoised))
        return x, torch.lerp(q, self.unit * self.smoothing(x), self.rate)

    @cached_property
    def unit(self) -> Tensor:
        """u, real (batch, 1, 1); 1 where nothing was measured."""
        size = self.projection.abs().square().mean((-2, -1), keepdim=True).sqrt()
        return torch.where(size > 0, size, torch.ones_like(size))

    def denoised(self, x: Tensor) -> Tensor:
        """R(x) at the phase that x itself has: p R(conj(p) x) with p of S(x)."""
        return Turned(self.denoiser, unit_phase(self.smoothing(x)))(x)

    def state(self, image: Tensor) -> Pair:
        """(image, u S(image)): the only q that is at rest beside this image."""
        return image, self.unit * self.smoothing(image)

    def image(self, state: Pair) -> Tensor:
        """x."""
        return state[0]

    def as_one_image(self) -> "OwnPhaseMap":
        """The map of x alone with q = S(x) at all times. Its fixed points are those of the pair,
        one to one; its iterates are those of the pair where `rate` is 1, and only there.
        """
        parts = self.projection, self.A, self.denoiser, self.step, self.weight
        return OwnPhaseMap(*parts, largest=self.largest, pair=self)

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        weight, largest = self.weight[index], self.largest[index]
        return replace(super().select(index), weight=weight, largest=largest)

    @cached_property
    def _descent(self) -> PreconditionedMap:
        """The step in x; what is denoised is said each time."""
        parts = self.projection, self.A, self.denoiser, self.step, self.weight
        return PreconditionedMap(*parts, largest=self.largest)


@dataclass
class OwnPhaseMap(PreconditionedMap):
    """The step of `PreconditionedMap` with the denoiser x -> p R(conj(p) x), p the phase of S(x).
    pair: whose S it is.
    """

    pair: JointMap = field(kw_only=True)

    def denoised(self, x: Tensor) -> Tensor:
        """p R(conj(p) x)."""
        return self.pair.denoised(x)

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        return replace(super().select(index), pair=self.pair.select(index))


@options
class JointDEGradOptions(MeasuredDEGradOptions):
    """The architecture of `JointDEGrad`."""

    blur: Positive = option(
        2.0, "standard deviation in pixels of the Gaussian windows in which the phase is smooth"
    )
    edge: Positive = option(
        0.05, "differences of the modulus below this share of the image's peak are no edge of phase"
    )
    rate: Annotated[float, Gt(0), Le(1)] = option(
        0.5, "share of the way to the image's own phase that the phase map goes in an evaluation"
    )


class JointDEGrad(MeasuredDEGrad):
    """The equilibrium of `JointMap`: image = x. Weight and level are those of `MeasuredDEGrad`. Its
    arguments are `JointDEGradOptions`.

    It is for denoisers that know the phase 0 alone. A Solution counts evaluations and residuals of
    the pair; its value is the image, and a solve may begin with either.
    """

    Options = JointDEGradOptions

    def fixed_point_map(self, kspace: Tensor, A: Any) -> JointMap:  # type: ignore[override]
        """f for these measurements, a function of the pair (x, u q)."""
        *parts, weight = self._parts(kspace, A)
        chosen = self.options
        return JointMap(
            *parts,
            weight=weight,
            largest=A.squared_norm(parts[0]),
            smoothing=GuidedPhase(chosen.blur, chosen.edge),
            rate=chosen.rate,
        )

    def iterated_map(self, kspace: Tensor, A: Any) -> JointMap:  # type: ignore[override]
        """The same: its step in x is preconditioned already."""
        return self.fixed_point_map(kspace, A)
