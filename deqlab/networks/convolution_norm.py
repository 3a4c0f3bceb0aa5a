"""The norm of a convolution as an operator on images, which is not the norm of its reshaped kernel.

A stride-1 convolution with zero padding is a piece of the infinite block-Toeplitz operator whose
symbol is the kernel's Fourier transform, H(a, b) = sum_mn K[:, :, m, n] exp(-i (a m + b n)), so its
norm is at most max over (a, b) of the largest singular value of H, for every image size. The
maximum is taken on a grid; a trigonometric polynomial of degree d per axis exceeds its maximum on N
points per axis by at most 1 / cos(pi d / N) (H. Ehlich and K. Zeller, Math. Z. 86, 1964), which is
multiplied in: the result is a bound, tight to about 1 %.
"""

import math

import torch
from torch import Tensor

GRID = 32
ROUNDING = 1 + 1e-5  # far above that of single precision, in which training looks at its kernels


def symbol(kernel: Tensor, grid: int = GRID) -> Tensor:
    """H on half of a grid x grid set of frequencies (the other half is conjugate), complex
    (frequency, out, in).

    kernel: real (out, in, height, width), as in torch.nn.Conv2d.
    """
    wide = kernel.to(torch.promote_types(kernel.dtype, torch.float32))
    padded = torch.fft.rfft2(wide, s=(grid, grid))
    return padded.flatten(2).permute(2, 0, 1)


@torch.no_grad()
def convolution_norm(kernel: Tensor, grid: int = GRID) -> float:
    """Upper bound, tight to the grid's 1 %, on ||K * x|| / ||x|| over all images x of all sizes,
    zero padding, stride 1.

    kernel: real (out, in, height, width), as in torch.nn.Conv2d. All singular values are computed:
    a power iteration would approach from below, and with a memory between training steps a resumed
    run would differ from an uninterrupted one.
    """
    largest = float(torch.linalg.matrix_norm(symbol(kernel, grid), ord=2).max())
    return largest * _grid_excess(kernel, grid) * ROUNDING


def _grid_excess(kernel: Tensor, grid: int) -> float:
    # A kernel of size s is, after a shift that changes no norm, a polynomial of degree (s - 1) / 2
    # per axis.
    excess = 1.0
    for size in kernel.shape[-2:]:
        excess /= math.cos(math.pi * (size - 1) / 2 / grid)
    return excess
