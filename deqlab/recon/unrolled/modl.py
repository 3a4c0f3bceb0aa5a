"""MoDL: a fixed number of steps of the map whose equilibrium `de-grad-measured` is.

H. K. Aggarwal, M. P. Mani and M. Jacob, MoDL: model-based deep learning architecture for inverse
problems, IEEE TMI 38 (2019): x <- (A^H A + w)^-1 (A^H y + w R(x)), a denoiser shared by all steps,
the loss on the last image. Departures, so that it differs from the equilibrium in nothing but the
end: a polynomial for the inverse (see `PreconditionedMap`), which counts as a constant where w is
differentiated; a weight and a level that follow the measurement; a step size.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.options import Count, option, options
from deqlab.networks.protocol import keep_promise, with_network
from deqlab.recon.base import Takes
from deqlab.recon.deq.de_grad import PreconditionedMap
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad, MeasuredDEGradOptions
from deqlab.recon.unrolled.base import Measured, Unrolled


@options
class Shared:
    """What the steps have in common: with all of it they are Picard steps of an equilibrium, with
    nothing of it a network of as many layers as there are steps.
    """

    denoiser: bool = option(
        True, "one denoiser for all steps, or one for each, equal to begin with"
    )
    step: bool = option(True, "one step size, or a learned factor of it for each step")
    weight: bool = option(
        True, "one weight of the denoiser against the data, or a learned factor of it for each step"
    )


@options
class MoDLOptions(MeasuredDEGradOptions):
    """The architecture of `MoDL`: that of the equilibrium, and how it is unrolled."""

    iterations: Count = option(10, "steps from the zero-filled image")
    share: Shared = option(Shared(), "what the steps have in common")


@dataclass(frozen=True)
class Iterate:
    """An image, complex (batch, y, x), and the map that all steps are variants of."""

    image: Tensor
    f: PreconditionedMap


class MoDL(Unrolled[Iterate]):
    """image = x_n with x <- f_k(x) from the zero-filled image, f_k the map of `MeasuredDEGrad` with
    the denoiser, the step and the weight of step k. Its arguments are `MoDLOptions`.

    With all shared, n steps are n Picard steps of the equilibrium with the same weights, and the
    weights of either are the other's: `modl.twin.load_state_dict(equilibrium.state_dict())`. What
    is not shared starts as if it were.
    """

    Options = MoDLOptions
    takes: ClassVar[Takes] = MeasuredDEGrad.takes

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        share, count = self.options.share, self.options.iterations
        self.twin = MeasuredDEGrad(self.options)
        copies = range(0 if share.denoiser else count - 1)
        self.later = nn.ModuleList(deepcopy(self.twin.denoisers()[0]) for _ in copies)
        self.log_steps = None if share.step else nn.Parameter(torch.zeros(count))
        self.log_weights = None if share.weight else nn.Parameter(torch.zeros(count))

    def denoisers(self) -> list[nn.Module]:
        """That of the first step, and those of later ones where they have their own."""
        return [*self.twin.denoisers(), *self.later]

    def scalars(self) -> dict[str, float]:
        """Those of the equilibrium."""
        return self.twin.scalars()

    def after_step(self) -> None:
        """Bring each denoiser's weights back to what it promises."""
        for denoiser in self.denoisers():
            keep_promise(denoiser)

    def start(self, measured: Measured) -> Iterate:
        """The zero-filled image, where solves of the equilibrium start too."""
        f = self.twin.iterated_map(measured.kspace, measured.A)
        return Iterate(self.twin.start(f), f)

    def step(self, index: int, state: Iterate, measured: Measured) -> Iterate:
        """f_k of the image."""
        return replace(state, image=self._map(index, state.f)(state.image))

    def image(self, state: Iterate) -> Tensor:
        """Its image."""
        return state.image

    def _map(self, index: int, f: PreconditionedMap) -> PreconditionedMap:
        """f with what step `index` has of its own."""
        if index > 0 and len(self.later) > 0:
            f = replace(f, denoiser=with_network(f.denoiser, self.later[index - 1]))
        if self.log_steps is not None:
            f = replace(f, step=f.step * self.log_steps[index].exp())
        if self.log_weights is not None:
            f = replace(f, weight=f.weight * self.log_weights[index].exp())
        return f
