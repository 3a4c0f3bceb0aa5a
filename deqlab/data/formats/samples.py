"""Samples as files hold them: their peak, a unit in which float32 holds them whatever the scanner's
scale, and the magnitude image of several coils.
"""

import math
from pathlib import Path

import numpy as np
import torch

from deqlab.core.errors import InputError
from deqlab.signal.transforms.fourier import ifft2c


def peak(samples: np.ndarray) -> float:
    """Largest absolute real or imaginary part; NaN or infinite where any sample is."""
    parts = np.ascontiguousarray(samples).view(samples.real.dtype)
    return float(max(parts.max(), -parts.min())) if parts.size else 0.0


def finite(samples: np.ndarray, name: str, path: Path, index: int) -> np.ndarray:
    """`samples` themselves, complex or real; InputError naming data set and slice where one is NaN
    or infinite.
    """
    if not math.isfinite(peak(samples)):
        what = "samples" if np.iscomplexobj(samples) else "values"
        raise InputError(
            f"{path}: {name} slice {index} holds NaN or infinite {what}; all must be finite"
        )
    return samples


def in_unit_range(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """(samples / unit as complex64, unit): exact at any intensity scale.

    unit: the power of two that brings the largest real or imaginary part between 1/2 and 1.
    """
    largest = peak(samples)
    if largest == 0.0:
        return samples.astype(np.complex64, copy=False), 1.0
    unit = math.ldexp(1.0, math.frexp(largest)[1])
    if not 1e-30 < unit < 1e30:
        samples = samples.astype(np.complex128)
    return (samples * (1.0 / unit)).astype(np.complex64, copy=False), unit


def root_sum_of_squares(kspace: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The magnitude that fastMRI calls `reconstruction_rss`, float32 (slices, h, w).

    The centre of the inverse FFT, root of the sum of squares over coils.
    kspace: complex (slices, coil, rows, columns), fully sampled.
    """
    images = np.empty((len(kspace), *shape), np.float32)
    for image, coils in zip(images, kspace, strict=True):
        magnitude = torch.linalg.vector_norm(
            ifft2c(torch.from_numpy(np.ascontiguousarray(coils))), dim=0
        )
        rows, columns = (
            size // 2 - part // 2 for size, part in zip(magnitude.shape, shape, strict=True)
        )
        image[:] = magnitude[rows : rows + shape[0], columns : columns + shape[1]].numpy()
    return images
