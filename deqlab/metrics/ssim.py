"""Structural similarity.

Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP
13 (2004), with the window and constants of the fastMRI benchmark.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import uniform_filter

from deqlab.core.options import options
from deqlab.metrics.protocol import Better, volumes

WINDOW, K1, K2 = 7, 0.01, 0.03


@options
class SSIM:
    """Structural similarity, mean over the slices: 7x7 uniform window, k1 = 0.01, k2 = 0.03,
    unbiased variances, border left out.
    """

    better: ClassVar[Better] = "higher"
    title: ClassVar[str] = "SSIM"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x). maximum: the data range, the maximum of
        the target volume where None.
        """
        target, image = volumes(target, image)
        peak = target.max() if maximum is None else maximum
        return float(np.mean([_slice(t, i, peak) for t, i in zip(target, image)]))


ssim = SSIM()


def _slice(target: np.ndarray, image: np.ndarray, peak: float) -> float:
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
    border = WINDOW // 2
    return float(values[border:-border, border:-border].mean())
