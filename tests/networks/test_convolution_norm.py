"""The bound on a convolution against the convolution itself, written out as a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deqlab.networks.convolution_norm import convolution_norm, symbol


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def toeplitz(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The matrix of the zero-padded convolution on images of `size`, from its action on every unit
    image.
    """
    inside = kernel.shape[1]
    basis = torch.eye(inside * size[0] * size[1], dtype=kernel.dtype).reshape(-1, inside, *size)
    return (
        functional.conv2d(basis, kernel, padding=tuple(n // 2 for n in kernel.shape[-2:]))
        .flatten(1)
        .T
    )


def periodic_norm(kernel: Tensor, grid: int = 256) -> float:
    """Norm of the periodic convolution on a fine grid, by numpy: what large images tend to."""
    h = np.fft.fft2(kernel.numpy(), s=(grid, grid), axes=(2, 3)).transpose(2, 3, 0, 1)
    return float(np.linalg.svd(h, compute_uv=False).max())


KERNELS = {
    "random": lambda: torch.randn(3, 2, 3, 3),
    "wide": lambda: torch.randn(8, 8, 3, 3),
    "to one channel": lambda: torch.randn(1, 5, 3, 3),
    "smooth": lambda: torch.ones(2, 2, 3, 3) + 0.1 * torch.randn(2, 2, 3, 3),
    "alternating": lambda: (torch.ones(3, 3) * torch.tensor([1.0, -1, 1]))[None, None],
    "between grid points": lambda: (
        torch.tensor([[1.0, -2 * np.cos(0.3), 1.0]]).expand(3, 3)[None, None].contiguous()
    ),
    "large": lambda: torch.randn(2, 3, 5, 5),
    "oblong": lambda: torch.randn(2, 2, 3, 5),
    "even": lambda: torch.randn(2, 2, 2, 4),
    "pointwise": lambda: torch.randn(4, 3, 1, 1),
    "identity": lambda: functional.pad(torch.eye(3)[:, :, None, None], (1, 1, 1, 1)),
}


@pytest.fixture(params=list(KERNELS))
def kernel(request: pytest.FixtureRequest, _seed: None) -> Tensor:
    return KERNELS[request.param]().double()


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 7), (8, 6)])
def test_is_never_below_the_norm_on_images(kernel: Tensor, size: tuple[int, int]) -> None:
    truth = float(torch.linalg.matrix_norm(toeplitz(kernel, size), ord=2))
    assert truth <= convolution_norm(kernel) * (1 + 1e-9)


def test_is_reached_by_large_images() -> None:
    kernel = KERNELS["random"]().double()
    truth = float(torch.linalg.matrix_norm(toeplitz(kernel, (20, 20)), ord=2))
    assert truth > 0.95 * convolution_norm(kernel)


def test_is_tight(kernel: Tensor) -> None:
    """Above the limit of large images, by less than 2 % for a 3x3 kernel."""
    truth, bound = periodic_norm(kernel), convolution_norm(kernel)
    assert truth * (1 - 1e-9) <= bound <= truth * (1.02 if max(kernel.shape[-2:]) <= 3 else 1.05)


def test_scales_with_the_kernel(kernel: Tensor) -> None:
    for factor in (-3.0, 1e-8, 1e8):
        assert convolution_norm(factor * kernel) == pytest.approx(
            abs(factor) * convolution_norm(kernel), rel=1e-6
        )


def test_is_not_the_norm_of_the_reshaped_kernel() -> None:
    """What common utilities bound is 1 here, and the convolution triples an image."""
    kernel = torch.full((1, 1, 3, 3), 1 / 3)
    assert float(torch.linalg.matrix_norm(kernel.reshape(1, -1), ord=2)) == pytest.approx(1)
    assert convolution_norm(kernel) == pytest.approx(3, rel=0.02)


def test_zero_has_norm_zero() -> None:
    assert convolution_norm(torch.zeros(2, 3, 3, 3)) == pytest.approx(0, abs=1e-12)


def test_the_symbol_is_the_kernels_transform() -> None:
    kernel = KERNELS["random"]().double()
    h, index = symbol(kernel, 8).reshape(8, 5, 3, 2), torch.arange(3, dtype=torch.float64)
    for a in range(8):
        for b in range(5):
            phase = torch.exp(-2j * torch.pi * (a * index[:, None] + b * index) / 8)
            torch.testing.assert_close(h[a, b], (kernel * phase).sum((-2, -1)))


def test_leaves_kernel_and_graph_alone() -> None:
    kernel = torch.randn(2, 2, 3, 3, requires_grad=True)
    before = kernel.detach().clone()
    assert isinstance(convolution_norm(kernel), float)
    assert torch.equal(kernel.detach(), before) and kernel.grad is None
