"""Plug-and-play: a denoiser in place of the proximal operator, whatever it was trained for.

S. V. Venkatakrishnan, C. A. Bouman and B. Wohlberg, Plug-and-play priors for model based
reconstruction, GlobalSIP (2013); U. S. Kamilov et al., Plug-and-play methods for integrating
physical and learned models in computational imaging, IEEE SPM 40 (2023).
"""

from dataclasses import replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from deqlab.core.options import Count, NonNegative, Positive, option, options, required
from deqlab.operators import LinearOperator
from deqlab.recon.base import Method
from deqlab.recon.deq.de_admm import ADMMMap
from deqlab.recon.deq.de_prox import ProximalMap
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.solvers import Anderson, Picard
from deqlab.solvers.protocol import AnySolver
from deqlab.solvers.proximal_gradient import FISTA


class Strength(nn.Module):
    """x + strength (u R(x / u) - x): R in the units u of the image, and as much of what it removes
    as is wanted.

    A denoiser without biases does not feel the units, so they are no handle on how strongly it
    denoises. unit: u, real (batch, 1, 1).
    """

    def __init__(self, denoiser: nn.Module, strength: float, unit: Tensor):
        super().__init__()
        self.denoiser, self.strength, self.unit = denoiser, strength, unit

    def forward(self, image: Tensor) -> Tensor:
        """The denoised image, complex (batch, y, x)."""
        return torch.lerp(image, self.unit * self.denoiser(image / self.unit), self.strength)

    def select(self, index: Tensor) -> "Strength":
        """The denoiser of the batch members in `index`."""
        return Strength(self.denoiser, self.strength, self.unit[index])


class PlugAndPlayGradient(ProximalMap):
    """f(x) = R(x - s A^H (A x - y)) with s real (batch, 1, 1)."""

    denoiser: Strength
    step: Tensor

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        return replace(
            super().select(index), denoiser=self.denoiser.select(index), step=self.step[index]
        )


class PlugAndPlayADMM(ADMMMap):
    """f(z, u) of ADMM, with the data step solved exactly and one step s for all."""

    denoiser: Strength

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        return replace(super().select(index), denoiser=self.denoiser.select(index))


# name -> (map, solver): what an algorithm of the literature is in terms of fixed points.
ALGORITHMS: dict[str, tuple[type[FixedPointMap[Any]], AnySolver]] = {
    "pgd": (PlugAndPlayGradient, Picard()),
    "fista": (PlugAndPlayGradient, FISTA()),
    "anderson": (PlugAndPlayGradient, Anderson()),
    "admm": (PlugAndPlayADMM, Picard()),
}


@options
class PlugAndPlay(FixedPointMethod[PlugAndPlayGradient | PlugAndPlayADMM], Method):
    """The image that a denoiser and the data agree on, if the iteration comes to rest; the Solution
    says for each sample whether it did.

    Nothing promises that it does: where A^H A has a null space, R must contract there, and a
    trained denoiser need not. See `deqlab.theory.contraction` for bounds. A denoiser that was
    trained within an equilibrium (DE-Prox) is at its best with its own step.
    denoiser: R, complex (batch, y, x) to the same, for images whose zero-filled maximum is near 1;
    k-space of any units is brought there.
    """

    denoiser: nn.Module = required(
        "R, a trained denoiser; in the shell the name of weights that have one, such as de-prox"
    )
    algorithm: Literal["pgd", "fista", "anderson", "admm"] = option(
        "anderson", "three solvers of one fixed point, or ADMM"
    )
    step: Positive = option(1.0, "in units of 1 / ||A||^2, but 1 / rho for ADMM")
    strength: Positive = option(1.0, "share of what R removes that is removed, 1 for R itself")
    tolerance: NonNegative = option(1e-3, "on the relative residual")
    max_evaluations: Count = option(100, "most evaluations")

    @property
    def solver(self) -> AnySolver:  # type: ignore[override]  # it follows from the algorithm
        """What the algorithm is in terms of fixed points."""
        return ALGORITHMS[self.algorithm][1]

    def to(self, device: torch.device | str, /) -> Self:
        """Itself, with its denoiser on the device."""
        self.denoiser.to(device)
        return self

    def fixed_point_map(
        self, kspace: Tensor, A: LinearOperator
    ) -> PlugAndPlayGradient | PlugAndPlayADMM:
        """f for these measurements, in the units of `kspace`."""
        projection = A.H(kspace)
        peak = projection.abs().amax((-2, -1), keepdim=True)
        denoiser = Strength(
            self.denoiser, self.strength, torch.where(peak > 0, peak, torch.ones_like(peak))
        )
        if ALGORITHMS[self.algorithm][0] is PlugAndPlayADMM:
            # ADMM is stable with any step, so here it is the number itself.
            return PlugAndPlayADMM(projection, A, denoiser, self.step)
        return PlugAndPlayGradient(projection, A, denoiser, self.step / A.squared_norm(projection))
