"""A volume that is one array in a file: its slices by the names of the array's axes.

Such a file does not say what was measured. On the grid that is what is not exactly zero in every
coil of the middle slice, and is said so. Images in place of k-space are transformed, and what comes
of it is called emulated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deqlab.core.errors import InputError
from deqlab.data.formats.axes import Axes, fits_memory
from deqlab.data.formats.fastmri_fields import LARGEST_SLICE
from deqlab.data.formats.protocol import GridVolume, OffGridVolume, Volume
from deqlab.data.formats.samples import finite
from deqlab.data.formats.spokes import spoke_positions
from deqlab.signal.transforms.fourier import fft2c

# Part of an array that is read, by a selector of h5py and numpy alike.
Read = Callable[[tuple[int | slice, ...]], np.ndarray]
EMULATED = (
    "k-space is the Fourier transform of the images in the file: no coils, noise, phase or"
    " sampling of a scanner are in it"
)
HOLES = 0.02  # share of the box of samples that may be zero without being called not measured


@dataclass(frozen=True, kw_only=True)
class ArrayVolume(GridVolume):
    """An array on the grid. read: its parts. axes: its own. image: whether it holds images."""

    axes: Axes
    read: Read
    image: bool = False

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index`, complex (coil, row, column)."""
        samples = slice_of(self.axes, self.read, index)
        finite(samples, "image" if self.image else "kspace", self.path, index)
        if not self.image:
            return samples
        with np.errstate(over="ignore", invalid="ignore"):
            # Values that single precision does not hold come out as infinite.
            return finite(transformed(samples), "the transform of image", self.path, index)


@dataclass(frozen=True, kw_only=True)
class SpokesVolume(OffGridVolume):
    """An array of spokes, whose `positions`, float64 (samples, 2), are those of every slice."""

    axes: Axes
    read: Read
    positions: np.ndarray

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index`, complex (coil, samples), spoke after spoke."""
        samples = slice_of(self.axes, self.read, index)
        return finite(samples, "kspace", self.path, index)

    def trajectory(self, index: int) -> torch.Tensor:
        """As `OffGridVolume.trajectory`."""
        return torch.from_numpy(self.positions.copy())


def array_volume(
    path: Path,
    axes: Axes,
    read: Read,
    notes: tuple[str, ...] = (),
    *,
    image: bool = False,
    spokes: str | None = None,
    matrix: int | None = None,
    **facts: Any,
) -> Volume:
    """The volume that an array is. spokes, matrix: as in `spoke_positions`, of an array with
    samples along spokes. facts: further ones of the volume.
    """
    if math.prod(axes.shape[1:]) > LARGEST_SLICE:
        raise InputError(
            f"{path}: slices of {axes.shape[1:]} samples; at most {LARGEST_SLICE} are read"
        )
    if "z" in axes.names:
        fits_memory(axes.sizes, path, "an array with an axis z")
    if not axes.on_grid:
        if image:
            raise InputError(f"{path}: --image: an image has axes y and x, no samples along spokes")
        positions, side = spoke_positions(
            path, axes.size("spoke"), axes.size("sample"), spokes, matrix
        )
        return SpokesVolume(
            path=path,
            shape=axes.shape,  # type: ignore[arg-type]
            recon_shape=(side, side),
            axes=axes,
            read=read,
            positions=positions,
            notes=notes,
            **facts,
        )
    for name, value in (("spokes", spokes), ("matrix", matrix)):
        if value is not None:
            raise InputError(
                f"{path}: --{name} {value} given, but --axes names no samples along spokes"
            )
    volume = ArrayVolume(
        path=path,
        shape=axes.shape,  # type: ignore[arg-type]
        recon_shape=axes.shape[-2:],  # type: ignore[arg-type]
        axes=axes,
        read=read,
        image=image,
        multicoil="coil" in axes.names,
        emulated=EMULATED if image else "",
        notes=notes,
        **facts,
    )
    return volume if image or volume.mask is not None else with_mask_of_zeros(volume)


def with_mask_of_zeros(volume: ArrayVolume) -> ArrayVolume:
    """The volume with what its middle slice measures as mask, or with its acquired columns where
    only margins are empty.
    """
    sampled = np.asarray((volume.kspace(volume.slices // 2) != 0).any(0))
    if not sampled.any() or sampled.all():
        return volume
    rows, columns = (np.flatnonzero(sampled.any(1 - axis)) for axis in (0, 1))
    box = sampled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if 1 - box.mean() <= HOLES:
        first, last = int(columns[0]), int(columns[-1]) + 1
        return _changed(volume, (), acquired=(first, last))
    mask = sampled[rows[0]] if (sampled[rows] == sampled[rows[0]]).all() else sampled
    note = (
        "the file has no mask: what is exactly zero in every coil of its middle slice is taken as"
        f" not measured ({mask.mean():.1%} kept)"
    )
    return _changed(volume, (note,), mask=mask)


def _changed(volume: ArrayVolume, notes: tuple[str, ...], **facts: Any) -> ArrayVolume:
    return replace(volume, notes=(*volume.notes, *notes), **facts)


def slice_of(axes: Axes, read: Read, index: int) -> np.ndarray:
    """Slice `index` of an array as complex (coil, row, column) or (coil, samples)."""
    depth = axes.size("z")
    stack, at = divmod(index, depth)
    part = axes.arranged(read(axes.selector(stack)))
    if "z" in axes.names and depth > 1:
        part = through(part, 0)[at]
    elif part.ndim == 4:
        part = part[0]
    return np.ascontiguousarray(part)


def through(kspace: np.ndarray, axis: int) -> np.ndarray:
    """The centred orthonormal inverse FFT along one axis."""
    shifted = np.fft.ifft(np.fft.ifftshift(kspace, axis), axis=axis, norm="ortho")
    return np.fft.fftshift(shifted, axis).astype(np.result_type(kspace, np.complex64), copy=False)


def transformed(images: np.ndarray) -> np.ndarray:
    """k-space, complex64 (..., row, column), of images."""
    return fft2c(torch.from_numpy(np.ascontiguousarray(images, dtype=np.complex64))).numpy()
