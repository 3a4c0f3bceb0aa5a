"""A^H W A off the grid without going there: F^H W F is a Toeplitz matrix, so it is a convolution,
done by Fourier transforms of twice the size.

(F^H W F x)[n] = sum over m of t[n - m] x[m], t[d] = sum over samples of w exp(2 pi i k . d) /
pixels. Source: J. A. Fessler et al., Toeplitz-based iterative image reconstruction for MRI with
correction for magnetic field inhomogeneity, IEEE Trans. Signal Process. 53 (2005).
"""

import torch
from torch import Tensor

from deqlab.operators.plans import Plans


def toeplitz_spectrum(
    points: Tensor, shape: tuple[int, ...], tolerance: float, weights: Tensor | None = None
) -> Tensor:
    """The transform of t (without the division by the pixels) on a grid of twice the `shape`: real
    float64 (2 N for each axis N).

    points: real (samples, axes), cycles per pixel. weights: real (samples,), 1 where None.
    """
    double = tuple(2 * size for size in shape)
    strengths = torch.ones(1, len(points), dtype=torch.complex128, device=points.device)
    if weights is not None:
        strengths = strengths * weights
    kernel = Plans(points, double, tolerance).adjoint(strengths)[0]
    # t[-d] = conj(t[d]), except where d = -N, which no two pixels are apart: what is imaginary in
    # the transform comes from there alone.
    return torch.fft.fftn(torch.fft.ifftshift(kernel)).real.contiguous()


def convolve(coil_images: Tensor, spectrum: Tensor) -> Tensor:
    """F^H W F of every coil image, (coil, *shape), from the real `spectrum` of `toeplitz_spectrum`;
    in memory of its own.

    Each axis is padded when its turn comes, and cropped as soon as it is done with: the zeros are
    never transformed.
    """
    shape, axes = coil_images.shape[1:], range(1 - coil_images.ndim, 0)
    rest = coil_images
    for axis, size in zip(axes, shape):
        rest = torch.fft.fft(rest, n=2 * size, dim=axis)
    rest = rest.mul_(spectrum)
    for axis, size in zip(reversed(axes), reversed(shape)):
        rest = torch.fft.ifft(rest, dim=axis).narrow(axis, 0, size)
    return rest
