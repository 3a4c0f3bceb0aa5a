"""A fastMRI file, opened without trust: facts are checked before a sample is read.

kspace: complex (slices[, coil], rows, columns); rows are the readout, columns the phase-encode
direction. reconstruction_rss or reconstruction_esc: (slices, h, w), the target of a fully sampled
file.
mask: (columns,) in a masked file. Beyond fastMRI's schema also (rows, columns), for sampling along
    both.
ismrmrd_header: XML. Attributes: acquisition, max, patient_id.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.formats.fastmri_fields import kspace_shape, read_header, read_mask, target_facts
from deqlab.data.formats.hdf5 import (
    SUFFIXES,
    dataset,
    names_in,
    number_attribute,
    opened,
    read,
    stamp,
    text_attribute,
)
from deqlab.data.formats.ismrmrd_header import UNKNOWN
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.formats.samples import finite


@dataclass(frozen=True, kw_only=True)
class FastMRIVolume(GridVolume):
    """The facts of one file; its samples are read slice by slice on demand.

    shape: coils = 1 for a single-coil file (`multicoil` tells the two apart).
    padding: lines (before, after) rows and columns, which the file leaves out and its header
        places.
    target_name: data set that holds the target, None where the file has none.
    """

    padding: tuple[tuple[int, int], tuple[int, int]]
    target_name: str | None
    stored_maximum: float | None

    @property
    def has_header(self) -> bool:
        return self.header is not None

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index` as stored, complex (coil, rows, columns); lines that were not
        acquired and are left out of the file are zero.

        Raises InputError for a NaN or infinite sample.
        """
        with opened(self.path) as file:
            samples = read(dataset(file, "kspace", self.path), self.path, index)
        finite(samples, "kspace", self.path, index)
        samples = samples.reshape(self.shape[1], *samples.shape[-2:])
        return np.pad(samples, ((0, 0), *self.padding)) if any(map(any, self.padding)) else samples

    def target(self, index: int) -> np.ndarray | None:
        """Target magnitude of slice `index` in the file's units; None in a masked file.

        float64 (h, w), cut to `recon_shape`. A fully sampled file without a stored target gets the
        root-sum-of-squares of its coils.
        """
        if self.mask is not None or self.target_name is None:
            return super().target(index)
        with opened(self.path) as file:
            image = read(dataset(file, self.target_name, self.path), self.path, index).astype(
                np.float64
            )
        finite(image, self.target_name, self.path, index)
        rows, columns = (
            have // 2 - want // 2 for have, want in zip(image.shape, self.recon_shape, strict=True)
        )
        return image[rows : rows + self.recon_shape[0], columns : columns + self.recon_shape[1]]

    @cached_property
    def maximum(self) -> float:
        """As `Volume.maximum`; for a masked file the attribute `max`, NaN without it."""
        if self.mask is not None and self.stored_maximum is not None:
            return self.stored_maximum
        return super().maximum


@dataclass(frozen=True)
class FastMRI:
    """Files in fastMRI's schema: HDF5 without a trajectory."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def recognises(self, path: Path) -> bool:
        """Whether `path` is HDF5 and not off the grid."""
        names = names_in(path)
        return names is not None and "trajectory" not in names

    def open(self, path: str | Path) -> FastMRIVolume:
        """The validated facts of the file `path`, kept until the file changes.

        Reads no samples. Warns (DeqlabWarning) where the header is absent. Raises InputError, one
        line naming file and field, for a file that is missing, not HDF5 or truncated, and for any
        field of the wrong kind.
        """
        path = Path(path)
        volume = _open_volume(path, *stamp(path))
        if not volume.has_header:
            warnings.warn(
                f"{path}: no ismrmrd_header; the target is taken to be"
                f" {'x'.join(map(str, volume.recon_shape))} and every column to be acquired",
                DeqlabWarning,
                stacklevel=2,
            )
        return volume


@lru_cache(maxsize=4096)
def _open_volume(path: Path, time: int, size: int) -> FastMRIVolume:
    with opened(path) as file:
        shape, multicoil = kspace_shape(file, path)
        mask = read_mask(file, path, shape)
        target_name, target_shape = target_facts(file, path, shape, multicoil)
        header = read_header(file, path)
        padding = header.padding(*shape[-2:]) if header else ((0, 0), (0, 0))
        rows, columns = (
            length + sum(missing) for length, missing in zip(shape[-2:], padding, strict=True)
        )
        if mask is not None:
            mask = np.pad(mask, padding[-mask.ndim :])
        recon = header.recon if header else target_shape or (rows, columns)
        # Some fastMRI brain files show a matrix wider than they encoded: cut to what exists, as
        # there.
        sizes = (recon, (rows, columns), target_shape or recon)
        try:
            acquired = header.acquired(columns) if header else (0, columns)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return FastMRIVolume(
            path=path,
            shape=(*shape[:2], rows, columns),
            multicoil=multicoil,
            header=header,
            voxel=header.voxel if header else UNKNOWN,
            padding=padding,
            recon_shape=(min(size[0] for size in sizes), min(size[1] for size in sizes)),
            acquired=acquired,
            contrast=text_attribute(file, "acquisition", path) or "unknown",
            patient_id=text_attribute(file, "patient_id", path) or "",
            mask=mask,
            target_name=None if mask is not None else target_name,
            stored_maximum=number_attribute(file, "max", path),
            emulated=text_attribute(file, "emulated", path) or "",
        )
