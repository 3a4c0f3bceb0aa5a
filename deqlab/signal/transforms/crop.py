"""Crops and padding about the centre, in image space and in k-space.

One index rule everywhere: a window of n samples out of N starts at N // 2 - n // 2. The centre
sample N // 2, which is the zero frequency of k-space and the middle of the image, then lands on n
// 2 for odd and even sizes alike.
"""

import math

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.transforms.fourier import fftc, ifftc


def center_window(length: int, size: int) -> slice:
    """The `size` samples about the centre of an axis of `length` samples; InputError when it has
    fewer.
    """
    if not 0 < size <= length:
        raise InputError(
            f"crop: {size} samples asked of an axis of {length}; 1 to {length} can be had"
        )
    start = length // 2 - size // 2
    return slice(start, start + size)


def center_crop(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """The centre of `x`: (..., Y, X) to (..., y, x) with `shape` = (y, x); a view, not a copy.

    On an image this narrows the field of view and keeps the size of a pixel. InputError when
    `shape` exceeds `x`.
    """
    rows, columns = shape
    return x[..., center_window(x.shape[-2], rows), center_window(x.shape[-1], columns)]


def center_pad(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """`x` in the centre of zeros: (..., y, x) to (..., Y, X) with `shape` = (Y, X); `center_crop`
    undoes it.

    In k-space this interpolates the image (zero filling). InputError when `x` exceeds `shape`.
    """
    rows, columns = shape
    padded = torch.zeros(*x.shape[:-2], rows, columns, dtype=x.dtype, device=x.device)
    center_crop(padded, (x.shape[-2], x.shape[-1])).copy_(x)
    return padded


def crop_kspace(kspace: Tensor, shape: tuple[int, int]) -> Tensor:
    """The k-space of a low-pass filtered image on fewer, larger pixels: same field of view, lower
    resolution.

    kspace: complex (..., Y, X); result (..., y, x) with `shape` = (y, x). The samples are
    multiplied by sqrt(y x / (Y X)): an orthonormal transform of fewer samples would otherwise
    brighten the image by the inverse of that factor, and a constant image would not keep its value.
    """
    rows, columns = shape
    scale = math.sqrt(rows * columns / (kspace.shape[-2] * kspace.shape[-1]))
    return center_crop(kspace, shape) * scale


def crop_readout(kspace: Tensor, rows: int) -> Tensor:
    """The k-space whose image is the central `rows` rows of the image of `kspace`: readout
    oversampling is gone.

    kspace: complex (..., Y, X), readout along Y and fully sampled; result (..., rows, X).
    Undersampling along X does not matter, because only Y is transformed: the result is exact, not a
    filter.
    """
    image = ifftc(kspace, -2)
    return fftc(image[..., center_window(kspace.shape[-2], rows), :], -2)
