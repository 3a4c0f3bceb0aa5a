"""ESPIRiT: coil maps as the eigenvectors with eigenvalue 1 of what calibration lines say about
every k-space patch.

M. Uecker et al., ESPIRiT, an eigenvalue approach to autocalibrating parallel MRI: where SENSE meets
GRAPPA, Magn Reson Med 71:990 (2014). Patches of the k-space of all coils span a small subspace. At
a pixel x, the maps s(x) put into a patch as plane waves lie in that subspace. So G(x) s(x) = s(x),
where G(x) is the projection onto the subspace, seen from pixel x: a matrix (coil, coil).
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.signal.coils.coil_maps import LowResolution, central_rows
from deqlab.signal.coils.eigenvectors import aligned, dominant_eigenvector

# Matrices of about this size stay in a core's second-level cache while the power iteration goes
# over them.
CACHE_BYTES = 2**20


@options
class ESPIRiT:
    """Maps of the first eigen-set: unit vectors over coils that all patches of the calibration data
    agree on.

    Where the eigenvalue (1 for perfect agreement, less in air) is at most `crop`, something else
    stands. "low-resolution" maps keep sum |c|^2 = 1 at every pixel, which the rest of deqlab
    reckons with; "zero" tells the reconstruction that there is nothing, which helps it where it is
    true, and cuts holes where it is not. Either way the norm of A is at most 1.
    An eigenvector has no phase of its own. "low-resolution" takes that of the low-resolution coil
    images, so that the object's smooth phase goes into the maps and the image is left nearly real,
    as learned models and partial Fourier like it. "virtual-coil" takes that of the strongest
    combination of coils, whose own phase then stays in the image with the object's.
    """

    kernel: int | tuple[int, int] = option(6, "side of a patch in samples, or (rows, columns)")
    threshold: Annotated[float, Gt(0), Lt(1)] = option(
        0.02, "singular values of the calibration matrix below this share of the largest are noise"
    )
    crop: Annotated[float, Ge(0), Lt(1)] = option(
        0.9, "the eigenvalue up to which an eigenvector is not trusted"
    )
    outside: Literal["low-resolution", "zero"] = option(
        "low-resolution", "what stands where the eigenvector is not trusted"
    )
    phase: Literal["low-resolution", "virtual-coil"] = option(
        "low-resolution", "whose phase the maps take"
    )

    def __post_init__(self) -> None:
        if min(self.sides) < 2:
            raise InputError(
                f"kernel: {self.kernel} given, 2 samples or more along each axis needed"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """The patch, (rows, columns)."""
        if isinstance(self.kernel, int):
            return self.kernel, self.kernel
        rows, columns = self.kernel
        return rows, columns

    def estimate(self, kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor:
        """The maps, complex (..., coil, y, x); see `estimate_coil_maps`."""
        return self.eigen(kspace, lines, rows)[0]

    def eigen(
        self, kspace: Tensor, lines: slice, rows: slice | None = None
    ) -> tuple[Tensor, Tensor]:
        """(maps, eigenvalues): complex (..., coil, y, x) and real (..., y, x), 1 where the patches
        agree and less in air.
        """
        shape = kspace.shape
        kspace = kspace.reshape(-1, *shape[-3:])
        low = LowResolution().estimate(kspace, lines, rows)
        calibration = kspace[..., central_rows(kspace, lines, rows), lines]
        self._check(calibration)
        lags = _lags(_signal_subspace(calibration, self.sides, self.threshold), self.sides)
        maps, values = _eigenvectors(lags, low, self.crop)
        reference = low if self.phase == "low-resolution" else _virtual_coil(calibration)
        maps = aligned(maps, reference)
        elsewhere = (
            aligned(low, reference) if self.outside == "low-resolution" else torch.zeros_like(low)
        )
        maps = torch.where((values > self.crop).unsqueeze(-3), maps, elsewhere)
        return maps.reshape(shape), values.reshape(*shape[:-3], *shape[-2:])

    def _check(self, calibration: Tensor) -> None:
        for axis, have, side in zip(("rows", "lines"), calibration.shape[-2:], self.sides):
            if have < side:
                raise InputError(
                    f"kernel: {side} {axis} given, but there are {have} calibration {axis}; a"
                    f" kernel of at most {have} fits"
                )


def _signal_subspace(calibration: Tensor, sides: tuple[int, int], threshold: float) -> Tensor:
    """The projection onto the span of all patches, complex (batch, n, n) with n = coil * rows *
    columns of a patch.
    """
    scale = calibration.abs().amax((-3, -2, -1), keepdim=True)
    patches = (
        (calibration / torch.where(scale > 0, scale, 1))
        .unfold(-2, sides[0], 1)
        .unfold(-2, sides[1], 1)
    )
    patches = patches.permute(0, 1, 4, 5, 2, 3).reshape(
        len(calibration), -1, patches.shape[2] * patches.shape[3]
    )
    energies, vectors = torch.linalg.eigh(patches @ patches.mH)
    # Energies are squares of singular values.
    vectors = vectors * (energies > threshold**2 * energies[:, -1:]).unsqueeze(-2)
    return vectors @ vectors.mH


def _lags(projection: Tensor, sides: tuple[int, int]) -> Tensor:
    """The Fourier coefficients of G(x), complex (batch, coil, coil, 2 rows - 1, 2 columns - 1), lag
    zero in the middle.

    G(x) = sum over r, r' of exp(2 pi i (r - r') x) P[r, r'] / n depends on r - r' alone, so entries
    of equal lag are added up.
    """
    rows, columns = sides
    coils = projection.shape[-1] // (rows * columns)
    blocks = projection.reshape(-1, coils, rows, columns, coils, rows, columns).permute(
        0, 1, 4, 2, 3, 5, 6
    )
    lags = projection.new_zeros(len(projection), coils, coils, 2 * rows - 1, 2 * columns - 1)
    for row in range(rows):
        for column in range(columns):
            top, left = rows - 1 - row, columns - 1 - column
            lags[..., top : top + rows, left : left + columns] += blocks[..., row, column]
    return lags / (rows * columns)


def _eigenvectors(lags: Tensor, start: Tensor, crop: float) -> tuple[Tensor, Tensor]:
    """Dominant eigenvectors (batch, coil, y, x) and eigenvalues (batch, y, x) of G at every pixel,
    some rows of the image at a time.
    """
    batch, coils, height, width = start.shape
    along_x = lags @ _waves(lags.shape[-1], width, lags)
    along_y = _waves(lags.shape[-2], height, lags).mT
    one = batch * coils**2 * width * lags.element_size()
    step = max(1, CACHE_BYTES // one) if lags.device.type == "cpu" else height
    maps, values = torch.empty_like(start), start.real.new_empty(batch, height, width)
    for top in range(0, height, step):
        some = slice(top, top + step)
        matrices = (along_y[some] @ along_x).flatten(-2)
        vectors, eigenvalues = dominant_eigenvector(
            matrices, start[..., some, :].flatten(-2), above=crop
        )
        maps[..., some, :] = vectors.unflatten(-1, (-1, width))
        values[..., some, :] = eigenvalues.unflatten(-1, (-1, width))
    return maps, values


def _waves(lags: int, length: int, like: Tensor) -> Tensor:
    """exp(2 pi i lag x / length) about the centre of both axes, complex (lags, length)."""
    lag = torch.arange(lags, device=like.device, dtype=torch.float64) - lags // 2
    position = torch.arange(length, device=like.device, dtype=torch.float64) - length // 2
    return torch.exp(2j * torch.pi * torch.outer(lag, position) / length).to(like.dtype)


def _virtual_coil(calibration: Tensor) -> Tensor:
    """The combination of coils that holds most of the calibration data's energy, complex (batch,
    coil, 1, 1).
    """
    samples = calibration.flatten(2)
    return torch.linalg.eigh(samples @ samples.mH).eigenvectors[..., -1, None, None]
