"""Coil compression: a few virtual coils that hold nearly all of the energy of many.

M. Buehrer et al., Array compression for MRI with large coil arrays, Magn Reson Med 57:1131 (2007);
F. Huang et al., A software channel compression technique for faster reconstruction with many
channels, Magn Reson Imaging 26:133 (2008).
"""

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.coils.whitening import mix_coils


def compression_matrix(kspace: Tensor, coils: int, lines: slice = slice(None)) -> Tensor:
    """Orthonormal rows, (..., coils, coil), that keep as much energy of kspace as so many
    combinations of coils can.

    kspace: complex (..., coil, y, x), of which the columns `lines` are read. The rows are left
    singular vectors, strongest first; white noise stays white. InputError for more virtual coils
    than there are coils, or none.
    """
    available = kspace.shape[-3]
    if not 1 <= coils <= available:
        raise InputError(f"coils: {coils} given, 1 to {available} needed")
    samples = kspace[..., lines].flatten(-2)
    peak = samples.abs().amax((-2, -1), keepdim=True)
    samples = samples / torch.where(peak > 0, peak, 1)
    # Eigenvectors of the small covariance are the singular vectors of the large matrix.
    vectors = torch.linalg.eigh(samples @ samples.mH).eigenvectors
    return vectors[..., -coils:].flip(-1).mH


def compress_coils(kspace: Tensor, coils: int, lines: slice = slice(None)) -> Tensor:
    """`kspace` of the `coils` strongest virtual coils: complex (..., coil, y, x) to (..., coils, y,
    x); see `compression_matrix`.
    """
    return mix_coils(compression_matrix(kspace, coils, lines), kspace)


def energy_kept(kspace: Tensor, matrix: Tensor, lines: slice = slice(None)) -> Tensor:
    """The share of the energy of the columns `lines` that `matrix` keeps, real (...), 1 for all of
    it.
    """
    samples = kspace[..., lines]
    before, after = (
        part.abs().square().sum((-3, -2, -1)) for part in (samples, mix_coils(matrix, samples))
    )
    return after / torch.where(before > 0, before, 1)
