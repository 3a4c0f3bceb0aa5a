"""The centred transform against its definition: a matrix written out from the formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deqlab.signal.transforms.fourier import centring_phases, fft2c, fftc, ifft2c, ifftc


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def dft(length: int) -> Tensor:
    """F[k, n] = exp(-2 pi i (k - c)(n - c) / N) / sqrt(N), c = N // 2, complex128 (k, n)."""
    index = torch.arange(length, dtype=torch.float64) - length // 2
    return torch.exp(-2j * torch.pi * torch.outer(index, index) / length) / math.sqrt(length)


def image(*shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


SIZES = [(1, 1), (1, 6), (2, 3), (8, 6), (7, 5), (9, 8)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.complex128, 1e-12), (torch.complex64, 1e-5)])
def test_is_the_direct_transform(
    size: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    x = image(2, *size)
    expected = dft(size[0]) @ x @ dft(size[1]).T
    kspace = fft2c(x.to(dtype))
    assert kspace.dtype == dtype
    torch.testing.assert_close(kspace.to(x), expected, rtol=0, atol=tolerance)
    back = ifft2c(expected.to(dtype))
    assert back.dtype == dtype
    torch.testing.assert_close(back.to(x), x, rtol=0, atol=tolerance)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, (0, 2)])
def test_transforms_the_named_axes_alone(axis: int | tuple[int, ...]) -> None:
    x = image(4, 5, 6)
    expected = x
    for one in (axis,) if isinstance(axis, int) else axis:
        moved = expected.movedim(one, -1)
        expected = (moved @ dft(moved.shape[-1]).T).movedim(-1, one)
    torch.testing.assert_close(fftc(x, axis), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ifftc(expected, axis), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_is_orthonormal(size: tuple[int, int]) -> None:
    x, y = image(3, *size), image(3, *size)
    torch.testing.assert_close(torch.linalg.vector_norm(fft2c(x)), torch.linalg.vector_norm(x))
    torch.testing.assert_close(
        torch.vdot(y.flatten(), fft2c(x).flatten()), torch.vdot(ifft2c(y).flatten(), x.flatten())
    )


@pytest.mark.parametrize("coils", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_leaves_batch_and_coil_axes_in_place(batch: int, coils: int) -> None:
    x = image(batch, coils, 6, 5)
    for transform in (fft2c, ifft2c):
        apart = torch.stack([torch.stack([transform(coil) for coil in member]) for member in x])
        torch.testing.assert_close(transform(x), apart, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_the_centre_of_one_domain_is_constant_in_the_other(size: tuple[int, int]) -> None:
    point = torch.zeros(size, dtype=torch.complex128)
    point[size[0] // 2, size[1] // 2] = 1
    flat = torch.full(size, 1 / math.sqrt(size[0] * size[1]), dtype=torch.complex128)
    for transform in (fft2c, ifft2c):
        torch.testing.assert_close(transform(point), flat)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 320, 1001])
@pytest.mark.parametrize("dtype, tolerance", [(torch.complex128, 1e-11), (torch.complex64, 1e-3)])
def test_phases_stand_for_the_shifts(length: int, dtype: torch.dtype, tolerance: float) -> None:
    line = image(length, dtype=dtype)
    p, q = centring_phases(length, like=line)
    assert p.dtype in (dtype, line.real.dtype) and q.dtype in (dtype, line.real.dtype)
    centred = q * torch.fft.fft(p * line) / math.sqrt(length)
    torch.testing.assert_close(centred, fftc(line, -1), rtol=0, atol=tolerance / 100)


@pytest.mark.parametrize("transform", [fft2c, ifft2c])
def test_gradient_is_the_adjoint(transform) -> None:
    x = image(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(transform, x)
    assert torch.autograd.gradgradcheck(transform, x)
