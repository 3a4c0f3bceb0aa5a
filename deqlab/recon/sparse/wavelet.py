"""Compressed sensing in wavelets: proximal gradients with soft thresholding, accelerated.

M. Lustig, D. Donoho and J. M. Pauly, Sparse MRI: the application of compressed sensing for rapid MR
imaging, MRM 58 (2007); FISTA as in `deqlab.solvers.proximal_gradient`.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from deqlab.core.options import Count, NonNegative, option, options
from deqlab.operators import LinearOperator
from deqlab.recon.base import Method
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.sparse.cycle_spinning import CycleSpinning, RandomShifts, moved
from deqlab.signal.transforms.wavelets import Wavelet
from deqlab.solvers import FISTA
from deqlab.solvers.registry import SOLVERS


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

    def state(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image

    def image(self, state: Tensor) -> Tensor:
        """The state itself."""
        return state

    def select(self, index: Tensor) -> "ShrinkageMap":
        """The map of the batch members in `index`."""
        return replace(
            self,
            projection=self.projection[index],
            A=self.A.select(index),
            step=self.step[index],
            threshold=self.threshold[index],
        )


@options
class WaveletFISTA(FixedPointMethod[ShrinkageMap], Method):
    """argmin 1/2 ||A x - y||^2 + lambda ||W x||_1 with lambda = weight max |A^H y|, so that the
    units of k-space do not matter.

    spinning: CycleSpinning(1) solves the problem above; CycleSpinning(n) that of the proximal
    average over n origins of the grid, which suits images better; RandomShifts() wanders about it.
    The step is 1 / ||A||^2.
    """

    weight: NonNegative = option(
        2e-3, "of the penalty relative to max |A^H y|; tuned, 1e-4 to 1e-2 as a rule; all bands pay"
    )
    wavelet: Wavelet = option(Wavelet(), "the orthonormal transform, as haar, db4 or sym8")
    spinning: CycleSpinning | RandomShifts = option(
        CycleSpinning(), "how many origins of the wavelets' grid are averaged over"
    )
    tolerance: NonNegative = option(5e-5, "on the relative residual ||f(x) - x|| / ||f(x)||")
    max_evaluations: Count = option(300, "most iterations")
    solver: Annotated[Any, SOLVERS] = option(FISTA(), "of the fixed point")

    def penalty(self, projection: Tensor) -> Tensor:
        """lambda for measurements with A^H y = `projection`, real (batch, 1, 1)."""
        return self.weight * projection.abs().amax((-2, -1), keepdim=True)

    def start(self, f: ShrinkageMap) -> Tensor:
        """Zero, where a penalty that leaves nothing is at rest at once: no residual relative to
        ||f(x)|| = 0 is ever asked for.
        """
        return torch.zeros_like(f.projection)

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> ShrinkageMap:
        """f for these measurements: a function of the image alone."""
        projection = A.H(kspace)
        self.wavelet.sizes(projection.shape[-2:])  # too many levels are refused before the work
        step = 1 / A.squared_norm(projection)
        return ShrinkageMap(
            projection, A, self.wavelet, self.spinning, step, step * self.penalty(projection)
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
