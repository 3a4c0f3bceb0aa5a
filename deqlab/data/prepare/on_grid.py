"""From the samples of one slice to a `Sample`: readout cropped, undersampled, scaled, coil maps
estimated.

The readout is fully sampled, so an inverse FFT along the rows of k-space is exact, whatever the
mask: a slice falls apart into independent rows of the image. Two things rest on it. Readout
oversampling is removed exactly, and a strip of rows is a valid smaller problem with the same
physics, which training uses to save memory (`rows`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.formats.samples import in_unit_range
from deqlab.data.prepare.fitted_maps import fitted
from deqlab.data.prepare.mixed_coils import shading, stored_maps
from deqlab.data.prepare.options import Preparation
from deqlab.data.prepare.stored_maps import CoilMaps, StoredMaps, method_told
from deqlab.data.sample import Sample
from deqlab.data.sampling import Sampling
from deqlab.data.truth import FileTruth
from deqlab.operators.cartesian import CartesianOperator
from deqlab.signal.coils.automatic import chosen
from deqlab.signal.coils.coil_maps import CoilMapMethod, LowResolution, estimate_coil_maps
from deqlab.signal.coils.explained import explained_share
from deqlab.signal.sampling.masks import calibration_lines
from deqlab.signal.transforms.crop import center_crop
from deqlab.signal.transforms.fourier import IMAGE_AXES, fftc, ifftc


def image_shape(volume: GridVolume) -> tuple[int, int]:
    """(y, x) of the volume's images before the target's crop: recon rows and encoded columns.

    With a mask in two directions the rows are not fully sampled, so readout oversampling cannot be
    removed: all rows stay.
    """
    rows, columns = volume.shape[-2:]
    two_dimensional = volume.mask is not None and volume.mask.ndim == 2
    return (rows if two_dimensional else volume.recon_shape[0]), columns


@dataclass(frozen=True)
class OnGridTruth(FileTruth):
    """The truth of a slice on the grid, whose `reference`, complex (y, x), its own k-space gave;
    None in a masked file.
    """

    reference: Tensor | None = None


@dataclass(frozen=True)
class OnGridSlices:
    """The slices of a volume on the grid, as Samples."""

    sampling: Sampling[GridVolume]
    options: Preparation

    @property
    def volume(self) -> GridVolume:
        return self.sampling.volume

    def shape(self) -> tuple[int, int, int, int, int]:
        """(coils, y, x, h, w) of every slice."""
        (rows, columns), (height, width) = image_shape(self.volume), self.volume.recon_shape
        strip = self._strip(rows, columns)
        return self.volume.shape[1], strip, columns, height if strip == rows else strip, width

    def sample(self, index: int, mask: Tensor | None, rng: np.random.Generator) -> Sample:
        """Slice `index` under `mask`; noise and strip are drawn from `rng`."""
        if mask is None:
            raise InputError(f"{self.volume.path}: a mask is needed on the grid; none given")
        noise = self.options.draw_noise(rng)
        rows, columns = image_shape(self.volume)
        strip, part = self._strip(rows, columns), slice(None)
        if strip < rows:
            start = int(rng.integers(rows - strip + 1))
            part = slice(start, start + strip)
        maps = self.options.coil_maps
        return prepare(self.volume, index, mask, noise=noise, rows=part, rng=rng, coil_maps=maps)

    def _strip(self, rows: int, columns: int) -> int:
        limit = self.options.max_pixels
        return rows if limit is None else min(rows, max(1, limit // columns))


def prepare(
    volume: GridVolume,
    index: int,
    mask: Tensor,
    *,
    noise: float = 0.0,
    rows: slice = slice(None),
    rng: np.random.Generator | None = None,
    coil_maps: CoilMaps = LowResolution(),
) -> Sample:
    """Slice `index` of `volume`, undersampled by `mask`, as a Sample.

    mask: bool (columns,), or (rows, columns) for a file with such a mask of its own; columns that
        were never acquired are removed from it.
    noise: standard deviation of complex Gaussian noise added to k-space, as a share of the maximum
        of the fully sampled image, drawn from `rng`. Target and reference stay clean.
    rows: part of the image's rows to keep; scale and coil maps are those of the whole slice.
    coil_maps: how they are estimated from the mask's calibration lines, or the file that has them.
        The estimated map of a single coil takes away its smooth phase, and is 1 where there are no
        such lines.
    Raises InputError for bad samples, a multi-coil mask without calibration lines, and for noise or
    a part of the rows where the file does not allow them.
    """
    height, _ = image_shape(volume)
    mask = acquired_only(mask, volume)
    lines, block = _calibration(mask, volume, needed=not isinstance(coil_maps, StoredMaps))
    samples, unit = in_unit_range(volume.kspace(index))
    # `hybrid` is an image along y and k-space along x. Under a two-dimensional mask it has to stay
    # k-space in both.
    hybrid = torch.from_numpy(samples if mask.ndim == 2 else image_rows(samples, height))
    axes = -1 if mask.ndim == 1 else IMAGE_AXES
    full_images = ifftc(hybrid, axes) if "reference" in volume.knows else None
    if noise:
        if full_images is None or rng is None:
            raise InputError(
                f"{volume.path}: noise {noise} needs a fully sampled file and a random generator"
            )
        brightest = float(
            (full_images.real.square() + full_images.imag.square()).sum(0).max().sqrt()
        )
        level = noise * brightest / math.sqrt(2)  # per real and imaginary part
        parts = rng.standard_normal((*hybrid.shape, 2), np.float32) * np.float32(level)
        hybrid = hybrid + torch.view_as_complex(torch.from_numpy(parts))

    hybrid = hybrid * mask
    kspace = fftc(hybrid, -2) if mask.ndim == 1 else hybrid
    explained: float | None = None
    if isinstance(coil_maps, StoredMaps):
        maps = stored_maps(volume, index, coil_maps, (kspace.shape[-2], kspace.shape[-1]))
        maps, told, explained = fitted(volume, index, coil_maps, maps, kspace, lines, block)
    elif lines is None:
        maps, told = torch.ones_like(kspace), "none"
    else:
        method = chosen(coil_maps, kspace, lines, block)
        maps = _estimated(kspace, lines, block, method, volume)
        told = f"{method_told(method)} from {lines.stop - lines.start} lines"
        # Low-resolution maps are the calibration lines: they explain all of them.
        if not isinstance(method, LowResolution):
            explained = explained_share(kspace, maps, lines, block)
    zero_filled = combine(ifftc(hybrid, axes), maps)
    scale = float(zero_filled.abs().max()) or 1.0

    if rows != slice(None):
        if mask.ndim == 2:
            raise InputError(
                f"{volume.path}: a part of the rows needs whole columns; its mask is"
                " two-dimensional"
            )
        kspace, maps = fftc(hybrid[:, rows], -2), maps[:, rows].contiguous()
        full_images = full_images if full_images is None else full_images[:, rows]
    reference = None if full_images is None else combine(full_images, maps) / scale
    return Sample(
        kspace=kspace / scale,
        operator=CartesianOperator(mask, maps),
        scale=scale * unit,
        file=volume.path.name,
        slice=index,
        contrast=volume.contrast,
        crop=(kspace.shape[-2] if mask.ndim == 1 else volume.recon_shape[0], volume.recon_shape[1]),
        # Without a two-dimensional mask the image has exactly the target's rows.
        truth=OnGridTruth(volume, index, scale * unit, rows, reference),
        coil_maps_by=told,
        maps_explain=explained,
        shading=shading(volume, index, maps),
    )


def image_rows(samples: np.ndarray, height: int) -> np.ndarray:
    """The centre `height` rows of the centred inverse transform along axis -2, complex (...,
    height, x).

    The same as a crop of `ifftc(samples, -2)` at a third of its time: numpy keeps rows contiguous,
    and the shift back and the crop are one copy.
    """
    rows = np.fft.ifft(np.fft.ifftshift(samples, axes=-2), axis=-2, norm="ortho")
    above = height // 2
    return np.concatenate(
        (rows[..., rows.shape[-2] - above :, :], rows[..., : height - above, :]), axis=-2
    )


def combine(coil_images: Tensor, maps: Tensor) -> Tensor:
    """Sum over coils of conj(c) times coil image: complex (coil, y, x) to (y, x).

    Optimal in noise for maps with sum |c|^2 = 1.
    """
    return (coil_images * maps.conj()).sum(-3)


def crop_magnitude(image: Tensor, crop: tuple[int, int]) -> Tensor:
    """|image| cut to the target's field of view: complex (..., y, x) to real (..., h, w)."""
    return center_crop(image.abs(), crop)


def acquired_only(mask: Tensor, volume: GridVolume) -> Tensor:
    """`mask` without the columns that were never acquired.

    Real files hold zeros there, which are no measurements.
    """
    if mask.shape[-1] != volume.shape[-1]:
        raise InputError(
            f"{volume.path}: mask has {mask.shape[-1]} columns, kspace has {volume.shape[-1]}"
        )
    if mask.ndim == 2 and mask.shape[0] != volume.shape[-2]:
        raise InputError(
            f"{volume.path}: mask has {mask.shape[0]} rows, kspace has {volume.shape[-2]}"
        )
    mask = mask.clone()
    first, stop = volume.acquired or (0, volume.shape[-1])
    mask[..., :first] = False
    mask[..., stop:] = False
    if not mask.any():
        raise InputError(
            f"{volume.path}: mask samples none of the acquired columns {first} to {stop - 1}"
        )
    return mask


def _estimated(
    kspace: Tensor, lines: slice, block: slice | None, method: CoilMapMethod, volume: GridVolume
) -> Tensor:
    """Coil maps by `method`, its error with the file's name."""
    try:
        return estimate_coil_maps(kspace, lines, method, block)
    except InputError as error:
        raise InputError(f"{volume.path}: coil maps: {error}") from None


def _calibration(
    mask: Tensor, volume: GridVolume, needed: bool
) -> tuple[slice | None, slice | None]:
    """`calibration(mask)`, its error with the file's name; one coil, and maps that are known, can
    do without.
    """
    try:
        return calibration(mask)
    except InputError as error:
        if volume.shape[1] == 1 or not needed:
            return None, None
        raise InputError(f"{volume.path}: {error}") from None


def calibration(mask: Tensor) -> tuple[slice, slice | None]:
    """(columns, rows) of the k-space that coil maps may be estimated from.

    mask: bool (columns,) or (rows, columns). The rows are those of a two-dimensional mask's fully
    sampled centre; None for a mask of whole columns. Raises InputError for a mask without
    calibration lines.
    """
    if mask.ndim == 1:
        return calibration_lines(mask), None
    rows, columns = mask.shape
    reach = _central_reach(mask)
    block = torch.zeros(columns, dtype=torch.bool)
    block[max(columns // 2 - reach, 0) : columns // 2 + reach + 1] = reach >= 0
    lines, reach = calibration_lines(block), _rows_for(reach, mask.shape)
    return lines, slice(max(rows // 2 - reach, 0), min(rows // 2 + reach + 1, rows))


def _central_reach(mask: Tensor) -> int:
    """How many columns the fully sampled block reaches from the centre; -1 where there is none.

    The block has the proportions of k-space, so that coil maps are as sharp along y as along x.
    """
    middle_y, middle_x = mask.shape[0] // 2, mask.shape[1] // 2
    for reach in range(middle_x + 1):
        reach_y = _rows_for(reach, mask.shape)
        block = mask[
            max(middle_y - reach_y, 0) : middle_y + reach_y + 1,
            max(middle_x - reach, 0) : middle_x + reach + 1,
        ]
        if not block.all():
            return reach - 1
    return middle_x


def _rows_for(reach: int, shape: Sequence[int]) -> int:
    return round(reach * shape[0] / shape[1])
