"""The centred, orthonormal Fourier transform that links an image and its k-space.

The zero frequency sits at index N // 2 and so does the centre of the image, as in every fastMRI
file. Only the transformed axes are shifted: a shift without `dim` would roll batch and coil axes
too.
"""

import torch
from torch import Tensor

IMAGE_AXES = (-2, -1)


def fft2c(image: Tensor) -> Tensor:
    """The k-space of `image`: centred orthonormal 2-D transform of the last two axes, complex (...,
    y, x).
    """
    return fftc(image, IMAGE_AXES)


def ifft2c(kspace: Tensor) -> Tensor:
    """The image of `kspace`: the inverse, and by orthonormality the adjoint, of `fft2c`, complex
    (..., y, x).
    """
    return ifftc(kspace, IMAGE_AXES)


def fftc(image: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Centred orthonormal transform along `axis` (one axis or several) and no other."""
    axes = _axes(axis)
    shifted = torch.fft.ifftshift(image, dim=axes)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=axes, norm="ortho"), dim=axes)


def ifftc(kspace: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Inverse of `fftc` along the same `axis`."""
    axes = _axes(axis)
    shifted = torch.fft.ifftshift(kspace, dim=axes)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=axes, norm="ortho"), dim=axes)


def centring_phases(length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Phases p, q with `fftc(x) = q * fft(p * x)` for a line of `length` samples, in the precision
    and on the device of `like`.

    Both shifts of a centred transform are products with such phases, so an operator can fold them
    into factors it multiplies by anyway (Fourier shift theorem, centre c = N // 2):
    exp(-2 pi i (k - c)(n - c) / N) = q[k] exp(-2 pi i k n / N) p[n], p[n] = exp(2 pi i c n / N),
    q[k] = p[k] exp(-2 pi i c^2 / N). Even lengths give signs, returned as real numbers: a real
    factor costs half of a complex one.
    """
    centre = length // 2
    index = torch.arange(length, dtype=torch.float64)
    if length % 2 == 0:
        ramp = 1.0 - 2.0 * (index % 2)
        phases = ramp, ramp * (1.0 if centre % 2 == 0 else -1.0)
        before, after = (phase.to(like.device, like.real.dtype) for phase in phases)
        return before, after
    # The product c * n is reduced modulo N before the exponential, so that long lines lose no
    # digits.
    ramp = torch.exp(2j * torch.pi * ((centre * index) % length) / length)
    constant = torch.exp(
        torch.tensor(-2j * torch.pi * ((centre * centre) % length) / length, dtype=torch.complex128)
    )
    return ramp.to(like.device, like.dtype), (ramp * constant).to(like.device, like.dtype)


def _axes(axis: int | tuple[int, ...]) -> tuple[int, ...]:
    return (axis,) if isinstance(axis, int) else tuple(axis)
