"""The norm of a convolution as an operator on images, which is not the norm of its reshaped kernel.

A stride-1 convolution with zero padding is a piece of the infinite block-Toeplitz operator whose symbol is the kernel's Fourier transform,
H(a, b) = sum_mn K[:, :, m, n] exp(-i (a m + b n)), so its norm is at most max over (a, b) of the largest singular value of H, for every
image size. The maximum is taken on a grid; a trigonometric polynomial of degree d per axis exceeds its maximum on N points per axis by at
most 1 / cos(pi d / N) (H. Ehlich and K. Zeller, Math. Z. 86, 1964), which is multiplied in: the result is a bound, tight to about 1 %.
"""

import math

import torch
from torch import Tensor

GRID = 32


def symbol(kernel: Tensor, grid: int = GRID) -> Tensor:
    """H on half of a grid x grid set of frequencies (the other half is conjugate), complex (frequency, out, in).

    kernel: real (out, in, height, width), as in torch.nn.Conv2d.
    """
    padded = torch.fft.rfft2(kernel.double(), s=(grid, grid))
    return padded.flatten(2).permute(2, 0, 1)


def convolution_norm(kernel: Tensor, grid: int = GRID) -> float:
    """Upper bound, tight to the grid's 1 %, on ||K * x|| / ||x|| over all images x of all sizes, zero padding, stride 1."""
    largest = torch.linalg.matrix_norm(symbol(kernel.detach(), grid), ord=2).max()
    return float(largest) * _grid_excess(kernel, grid)


class NormTracker:
    """Follows a changing kernel's `convolution_norm` by power iterations that start where the last ones ended.

    One vector per frequency; a few iterations a training step suffice because a step changes the kernel little. `settle` runs them until
    the estimate rests, which is right after initialisation or loading.
    """

    def __init__(self, iterations: int = 4, grid: int = GRID):
        self.iterations, self.grid = iterations, grid
        self.vectors: Tensor | None = None

    def estimate(self, kernel: Tensor) -> float:
        """The bound after a few more power iterations."""
        h = symbol(kernel.detach(), self.grid)
        v = self.vectors
        if v is None or v.shape != (h.shape[0], h.shape[2], 1) or v.device != h.device:
            generator = torch.Generator().manual_seed(0)
            v = torch.randn(h.shape[0], h.shape[2], 1, generator=generator, dtype=torch.float64).to(h)
        adjoint = h.mH
        for _ in range(self.iterations if self.vectors is not None else 60):
            v = adjoint @ (h @ v)
            v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(1e-300)
        self.vectors = v
        largest = torch.linalg.vector_norm(h @ v, dim=1).max()
        return float(largest) * _grid_excess(kernel, self.grid)


def _grid_excess(kernel: Tensor, grid: int) -> float:
    # A kernel of size s is, after a shift that changes no norm, a polynomial of degree (s - 1) / 2 per axis.
    excess = 1.0
    for size in kernel.shape[-2:]:
        excess /= math.cos(math.pi * (size - 1) / 2 / grid)
    return excess
