"""High-frequency error norm.

S. Ravishankar, Y. Bresler, MR image reconstruction from highly undersampled k-space data by
dictionary learning, IEEE TMI 30 (2011).
"""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import fftconvolve

from deqlab.core.options import options
from deqlab.metrics.convention import Convention
from deqlab.metrics.protocol import Better, volumes

SIZE, SIGMA = 15, 1.5


@options
class HFEN(Convention):
    """||LoG(image - target)|| / ||LoG(target)|| over the volume, with the Laplacian of a Gaussian
    of 1.5 pixels in 15x15: how wrong edges and fine detail are, whatever happens to flat parts.

    It needs no data range. Beyond the border there are zeros.
    """

    better: ClassVar[Better] = "lower"
    title: ClassVar[str] = "HFEN"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x)."""
        return self.score(_hfen, *volumes(target, image))


hfen = HFEN()


def laplacian_of_gaussian(size: int = SIZE, sigma: float = SIGMA) -> np.ndarray:
    """The kernel (size, size); its sum is zero, so that a flat image has none of it."""
    y, x = np.mgrid[:size, :size] - size // 2
    square = x * x + y * y
    weight = np.exp(-square / (2 * sigma**2))
    kernel = weight / weight.sum() * (square - 2 * sigma**2) / sigma**4
    return np.asarray(kernel - kernel.mean())


def _hfen(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
    kernel = laplacian_of_gaussian()[None]
    wrong, there = (fftconvolve(z, kernel, "same", axes=(1, 2)) for z in (image - target, target))
    return float(np.linalg.norm(wrong[inside]) / np.linalg.norm(there[inside]))
