"""Compressed sensing in wavelets: proximal gradients with soft thresholding, accelerated.

M. Lustig, D. Donoho and J. M. Pauly, Sparse MRI: the application of compressed sensing for rapid MR
imaging, MRM 58 (2007); FISTA as in `deqlab.solvers.proximal_gradient`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.operators import LinearOperator
from deqlab.recon.sparse.cycle_spinning import CycleSpinning, RandomShifts, moved
from deqlab.recon.steps.step_size import squared_norm
from deqlab.signal.transforms.wavelets import Wavelet
from deqlab.solvers import Solution, solve
from deqlab.solvers.proximal_gradient import FISTA


@dataclass
class ShrinkageMap:
    """f(x) = W^H soft(W (x - s A^H (A x - y)), s lambda): its fixed points minimise 1/2 ||A x -
    y||^2 + lambda ||W x||_1.

    projection: A^H y, (batch, y, x). step: s; threshold: s lambda; both real (batch, 1, 1).
    """

    projection: Tensor
    A: LinearOperator
    wavelet: Wavelet
    spinning: CycleSpinning | RandomShifts
    step: Tensor
    threshold: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        descended = x - self.step * (self.A.normal(x) - self.projection)
        return self.spinning(lambda image: self.wavelet.shrink(image, self.threshold), descended)

    def select(self, index: Tensor) -> "ShrinkageMap":
        """The map of the batch members in `index`."""
        parts = {
            "projection": self.projection[index],
            "step": self.step[index],
            "threshold": self.threshold[index],
        }
        return replace(self, A=self.A.select(index), **parts)


class WaveletFISTA(nn.Module):
    """argmin 1/2 ||A x - y||^2 + lambda ||W x||_1 with lambda = weight max |A^H y|, so that the
    units of k-space do not matter.

    weight: tuned on validation data (`deqlab.evaluation.tune.tune`), 1e-4 to 1e-2 as a rule. All
        bands are penalised, the coarsest too.
    wavelet: the orthonormal transform. spinning: CycleSpinning(1) solves the problem above;
    CycleSpinning(n) that of the proximal average over n origins of the grid, which suits images
    better; RandomShifts() wanders about it.
    tolerance: on the relative residual ||f(x) - x|| / ||f(x)||. The step is 1 / ||A||^2
    (`squared_norm`). solver: of the fixed point. InputError for a negative weight, an unknown
    wavelet, too many levels.
    """

    def __init__(
        self,
        weight: float = 2e-3,
        wavelet: Wavelet = Wavelet(),
        spinning: CycleSpinning | RandomShifts = CycleSpinning(),
        tolerance: float = 5e-5,
        max_iterations: int = 300,
        solver=FISTA(),
    ):
        super().__init__()
        self.weight, self.wavelet, self.spinning = checked_weight(weight), wavelet, spinning
        self.tolerance, self.max_iterations, self.solver = tolerance, max_iterations, solver

    def penalty(self, projection: Tensor) -> Tensor:
        """lambda for measurements with A^H y = `projection`, real (batch, 1, 1)."""
        return self.weight * projection.abs().amax((-2, -1), keepdim=True)

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> ShrinkageMap:
        """f for these measurements: a function of the image alone."""
        projection = A.H(kspace)
        self.wavelet.sizes(projection.shape[-2:])  # too many levels are refused before the work
        step = 1 / squared_norm(A, projection)
        return ShrinkageMap(
            projection, A, self.wavelet, self.spinning, step, step * self.penalty(projection)
        )

    @torch.no_grad()
    def solve(
        self, kspace: Tensor, A: LinearOperator, x0: Tensor | None = None, callback=None
    ) -> Solution:
        """The Solution from `x0` (zero where None); `callback` as in `deqlab.solvers.solve`."""
        f = self.fixed_point_map(kspace, A)
        # From zero, where a penalty that leaves nothing is at rest at once: no residual relative to
        # ||f(x)|| = 0 is ever asked for.
        return solve(
            f,
            torch.zeros_like(f.projection) if x0 is None else x0,
            self.solver,
            self.tolerance,
            self.max_iterations,
            callback,
        )

    @torch.no_grad()
    def objective(self, image: Tensor, kspace: Tensor, A: LinearOperator) -> Tensor:
        """1/2 ||A x - y||^2 + lambda ||W x||_1, real (batch,). With several origins the mean of ||W
        x||_1 over them.
        """
        shifts = self.spinning if isinstance(self.spinning, CycleSpinning) else CycleSpinning(1)
        total = torch.zeros(len(image), dtype=image.real.dtype, device=image.device)
        for origin in shifts.origins():
            total += moved(self.wavelet.forward, image, origin).abs().sum((-2, -1)) / shifts.shifts
        return (A(image) - kspace).abs().square().sum((-3, -2, -1)) / 2 + self.penalty(
            A.H(kspace)
        ).flatten() * total

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return self.solve(kspace, A).value


def checked_weight(weight: float) -> float:
    """`weight`, if it can be one."""
    if not 0 <= weight < float("inf"):
        raise InputError(f"weight: {weight} given, a finite number >= 0 needed")
    return float(weight)
