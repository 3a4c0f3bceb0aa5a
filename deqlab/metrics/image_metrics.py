"""PSNR, SSIM and NMSE in the conventions of the fastMRI benchmark.

All take magnitude volumes (slices, y, x) as arrays and return one number a volume. The data range
is the maximum of the target *volume*: with a slice's own maximum the same reconstruction scores
several dB differently, so only like may be compared with like.
Source: J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI,
    arXiv:1811.08839, section 5.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import uniform_filter


def nmse(target: ArrayLike, image: ArrayLike) -> float:
    """||image - target||^2 / ||target||^2 over the volume."""
    target, image = _pair(target, image)
    return float(np.sum((image - target) ** 2) / np.sum(target**2))


def psnr(target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
    """10 log10(maximum^2 / mean squared error) in dB over the volume; `maximum` is the target
    volume's own where None.
    """
    target, image = _pair(target, image)
    peak = target.max() if maximum is None else maximum
    return float(10 * np.log10(peak**2 / np.mean((image - target) ** 2)))


def ssim(target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
    """Structural similarity, mean over the slices: 7x7 uniform window, k1 = 0.01, k2 = 0.03,
    unbiased variances, border left out.

    Source: Z. Wang et al., Image quality assessment: from error visibility to structural
        similarity, IEEE TIP 13 (2004).
    """
    target, image = _pair(target, image)
    peak = target.max() if maximum is None else maximum
    return float(np.mean([_ssim_slice(t, i, peak) for t, i in zip(target, image)]))


METRICS = {"psnr": psnr, "ssim": ssim, "nmse": nmse}


def _ssim_slice(
    target: np.ndarray,
    image: np.ndarray,
    peak: float,
    window: int = 7,
    k1: float = 0.01,
    k2: float = 0.03,
) -> float:
    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, window)

    samples = window**2
    unbiased = samples / (samples - 1)
    mu_t, mu_i = mean(target), mean(image)
    var_t = unbiased * (mean(target * target) - mu_t * mu_t)
    var_i = unbiased * (mean(image * image) - mu_i * mu_i)
    covariance = unbiased * (mean(target * image) - mu_t * mu_i)
    c1, c2 = (k1 * peak) ** 2, (k2 * peak) ** 2
    values = (
        (2 * mu_t * mu_i + c1)
        * (2 * covariance + c2)
        / ((mu_t**2 + mu_i**2 + c1) * (var_t + var_i + c2))
    )
    border = window // 2
    return float(values[border:-border, border:-border].mean())


def _pair(target: ArrayLike, image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    target, image = np.asarray(target, dtype=np.float64), np.asarray(image, dtype=np.float64)
    if target.ndim != 3 or target.shape != image.shape:
        raise ValueError(
            f"volumes with three axes (slices, y, x) and of one shape needed, got {target.shape}"
            f" and {image.shape}"
        )
    return target, image
