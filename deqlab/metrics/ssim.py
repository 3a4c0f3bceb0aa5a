"""Structural similarity.

Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP
13 (2004), with the window and constants of the fastMRI benchmark.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import uniform_filter

from deqlab.core.errors import InputError
from deqlab.core.options import options
from deqlab.metrics.convention import RangedConvention
from deqlab.metrics.protocol import Better, volumes

WINDOW, K1, K2 = 7, 0.01, 0.03
BORDER = WINDOW // 2


@options
class SSIM(RangedConvention):
    """Structural similarity, mean over the slices: 7x7 uniform window, k1 = 0.01, k2 = 0.03,
    unbiased variances, border left out. A window counts where its middle is in the region.
    """

    better: ClassVar[Better] = "higher"
    title: ClassVar[str] = "SSIM"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x). maximum: the data range, the maximum of
        the target volume where None. InputError where no window's middle is in the region.
        """

        def one(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
            peak = self.peak(target, maximum)
            fits = inside[:, BORDER:-BORDER, BORDER:-BORDER]
            each = [_windows(t, i, peak)[f] for t, i, f in zip(target, image, fits)]
            counted = [float(values.mean()) for values in each if values.size]
            if not counted:
                raise InputError(f"region: {self.region} holds no middle of a 7x7 window")
            return float(np.mean(counted))

        return self.score(one, *volumes(target, image))


ssim = SSIM()


def _windows(target: np.ndarray, image: np.ndarray, peak: float) -> np.ndarray:
    """SSIM of every window that fits, (y - 6, x - 6)."""

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, WINDOW)

    samples = WINDOW**2
    unbiased = samples / (samples - 1)
    mu_t, mu_i = mean(target), mean(image)
    var_t = unbiased * (mean(target * target) - mu_t * mu_t)
    var_i = unbiased * (mean(image * image) - mu_i * mu_i)
    covariance = unbiased * (mean(target * image) - mu_t * mu_i)
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    above = (2 * mu_t * mu_i + c1) * (2 * covariance + c2)
    values = above / ((mu_t**2 + mu_i**2 + c1) * (var_t + var_i + c2))
    return np.asarray(values[BORDER:-BORDER, BORDER:-BORDER])
