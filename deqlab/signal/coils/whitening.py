"""Noise pre-whitening: coils mixed so that their noise is independent and of unit strength.

K. P. Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn
Reson Med 46:638 (2001), appendix A. Least squares on whitened data is the maximum-likelihood
estimate; without whitening a noisy coil weighs as much as a quiet one.
"""

import torch
from torch import Tensor

from deqlab.core.errors import InputError


def noise_covariance(noise: Tensor) -> Tensor:
    """The covariance E[n n^H] of the coils' noise, complex (coil, coil), in the squared units of
    `noise`.

    noise: complex samples without signal, (coil, ...), as a noise scan or the outermost corners of
    k-space give them. Their mean is taken for zero. InputError for fewer samples than coils, which
    leave the covariance singular.
    """
    if noise.ndim < 2 or not noise.is_complex():
        raise InputError(
            f"noise: {noise.dtype} of shape {tuple(noise.shape)} given, complex (coil, samples)"
            " needed"
        )
    samples = noise.flatten(1)
    if samples.shape[1] < samples.shape[0]:
        raise InputError(
            f"noise: {samples.shape[1]} samples of {samples.shape[0]} coils given, at least as many"
            " samples as coils needed"
        )
    return samples @ samples.mH / samples.shape[1]


def whitening_matrix(covariance: Tensor) -> Tensor:
    """W with W covariance W^H = identity, complex (coil, coil): the inverse of the Cholesky factor.

    covariance: Hermitian and positive definite, (coil, coil). InputError for anything else.
    """
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise InputError(f"covariance: shape {tuple(covariance.shape)} given, (coil, coil) needed")
    if not torch.isfinite(covariance).all():
        raise InputError("covariance: holds NaN or infinite entries; all must be finite")
    precise = covariance.to(torch.complex128)
    largest = precise.abs().max()
    if not (precise - precise.mH).abs().max() <= 1e-5 * largest:
        raise InputError("covariance: not Hermitian; entry (i, j) must be the conjugate of (j, i)")
    factor, failed = torch.linalg.cholesky_ex(precise)
    if int(failed) or not largest > 0:
        raise InputError(
            "covariance: not positive definite; a coil without noise, or one that is a copy of"
            " others, cannot be whitened"
        )
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
    return whitening.to(covariance.dtype if covariance.is_complex() else torch.complex64)


def mix_coils(matrix: Tensor, kspace: Tensor) -> Tensor:
    """The linear combinations of coils that the rows of `matrix` name: complex (..., coil, y, x) to
    (..., rows of matrix, y, x).

    matrix: complex (new, coil), or with the leading axes of kspace. Coil maps, coil images and
    k-space are mixed alike, as the Fourier transform does not touch coils. InputError when `matrix`
    is for another number of coils.
    """
    if matrix.shape[-1] != kspace.shape[-3]:
        raise InputError(f"matrix: for {matrix.shape[-1]} coils, but kspace has {kspace.shape[-3]}")
    return (matrix.to(kspace.dtype) @ kspace.flatten(-2)).unflatten(-1, kspace.shape[-2:])


def whiten(kspace: Tensor, covariance: Tensor) -> Tensor:
    """`kspace` (..., coil, y, x) with noise of unit covariance, from noise of `covariance` (coil,
    coil).
    """
    return mix_coils(whitening_matrix(covariance), kspace)
