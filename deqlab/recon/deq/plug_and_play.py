"""Plug-and-play: a denoiser in place of the proximal operator, whatever it was trained for.

S. V. Venkatakrishnan, C. A. Bouman and B. Wohlberg, Plug-and-play priors for model based
reconstruction, GlobalSIP (2013); U. S. Kamilov et al., Plug-and-play methods for integrating
physical and learned models in computational imaging, IEEE SPM 40 (2023).
"""

import difflib
from dataclasses import replace

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError, positive
from deqlab.operators import LinearOperator
from deqlab.recon.deq.de_admm import ADMMMap
from deqlab.recon.deq.de_prox import ProximalMap
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.recon.steps.step_size import squared_norm
from deqlab.solvers import Anderson, Picard, Solution, solve
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

    def select(self, index: Tensor) -> "PlugAndPlayGradient":
        """The map of the batch members in `index`."""
        return replace(
            super().select(index), denoiser=self.denoiser.select(index), step=self.step[index]
        )


class PlugAndPlayADMM(ADMMMap):
    """f(z, u) of ADMM, with the data step solved exactly and one step s for all."""

    def select(self, index: Tensor) -> "PlugAndPlayADMM":
        """The map of the batch members in `index`."""
        return replace(super().select(index), denoiser=self.denoiser.select(index))


# name -> (map, solver): what an algorithm of the literature is in terms of fixed points.
ALGORITHMS = {
    "pgd": (PlugAndPlayGradient, Picard()),
    "fista": (PlugAndPlayGradient, FISTA()),
    "anderson": (PlugAndPlayGradient, Anderson()),
    "admm": (PlugAndPlayADMM, Picard()),
}


class PlugAndPlay(nn.Module):
    """The image that a denoiser and the data agree on, if the iteration comes to rest; the Solution
    says for each sample whether it did.

    Nothing promises that it does: where A^H A has a null space, R must contract there, and a
    trained denoiser need not. See `deqlab.theory.contraction` for bounds. A denoiser that was
    trained within an equilibrium (DE-Prox) is at its best with its own step.
    denoiser: R, complex (batch, y, x) to the same, for images whose zero-filled maximum is near 1;
        k-space of any units is brought there.
    algorithm: "pgd", "fista", "anderson" (three solvers of one fixed point) or "admm". step: in
        units of 1 / ||A||^2, but 1 / rho for ADMM.
    strength: share of what R removes that is removed, 1 for R itself.
    InputError for an unknown algorithm and for a step or strength that is not positive.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        algorithm: str = "anderson",
        step: float = 1.0,
        strength: float = 1.0,
        tolerance: float = 1e-3,
        max_iterations: int = 100,
    ):
        super().__init__()
        if algorithm not in ALGORITHMS:
            close = difflib.get_close_matches(str(algorithm), ALGORITHMS, 1)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise InputError(
                f"algorithm: {algorithm!r} given{hint}; one of {', '.join(ALGORITHMS)} needed"
            )
        positive("step", step), positive("strength", strength)
        self.denoiser, self.algorithm, self.step, self.strength = (
            denoiser,
            algorithm,
            step,
            strength,
        )
        self.tolerance, self.max_iterations = tolerance, max_iterations

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> FixedPointMap:
        """f for these measurements, in the units of `kspace`."""
        projection = A.H(kspace)
        peak = projection.abs().amax((-2, -1), keepdim=True)
        denoiser = Strength(
            self.denoiser, self.strength, torch.where(peak > 0, peak, torch.ones_like(peak))
        )
        kind, _ = ALGORITHMS[self.algorithm]
        # ADMM is stable with any step, so there it is the number itself.
        step = self.step if kind is PlugAndPlayADMM else self.step / squared_norm(A, projection)
        return kind(projection, A, denoiser, step)

    @torch.no_grad()
    def solve(
        self, kspace: Tensor, A: LinearOperator, x0: Tensor | None = None, callback=None
    ) -> Solution:
        """The Solution from the image `x0` (the zero-filled one where None); its value is an
        image.
        """
        f = self.fixed_point_map(kspace, A)
        _, solver = ALGORITHMS[self.algorithm]
        start = f.state(f.projection if x0 is None else x0)
        solution = solve(f, start, solver, self.tolerance, self.max_iterations, callback)
        return replace(solution, value=f.image(solution.value))

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return self.solve(kspace, A).value
