"""Files of k-space off the grid: their layout, a reader without trust, a writer.

    kspace         complex (slices, coils, samples), or (slices, samples) for a single coil
    trajectory     real (samples, 2), or (slices, samples, 2) where it changes; columns (ky, kx) in
                   cycles per field of view, or in the unit that `trajectory_unit` names
    density        optional, real (samples,) or (slices, samples), >= 0: the share of k-space of
                   each sample, 1 for one Cartesian sample
    readout_times  optional, real (samples,), seconds from the time at which off-resonance has no
                   effect
    field_map      optional, real (slices, rows, columns), off-resonance in Hz; goes with
                   readout_times
    target         optional, real (slices, rows, columns), >= 0: the magnitude that a reconstruction
                   should show, in the unit of kspace; where it is known, methods can be judged
    reference      optional, complex (slices, coils, rows, columns), or (slices, rows, columns) for
                   a single coil: the coil images of which kspace are samples; where they are
                   known, models can be trained too, and their root-sum-of-squares is the target
                   of a file without one
    attributes     matrix (rows, columns) of the image; optional: trajectory_unit, "cycles per field
                   of view" where absent, or "cycles per pixel" as everywhere in deqlab, "radians
                   per pixel", "cycles per metre"; field_of_view (rows, columns) in mm,
                   acquisition, patient_id

In cycles per field of view neighbours on a Cartesian grid are 1 apart, and the trajectory reaches
from -matrix / 2 to matrix / 2 along each axis. The sign is that of `fft2c`: a sample is the sum
over pixels of image times exp(-2 pi i k r), r counted from pixel N // 2, over the root of the
number of pixels. Nothing else of the file is read.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.formats.hdf5 import (
    SUFFIXES,
    dataset,
    names_in,
    opened,
    pair_attribute,
    read,
    stamp,
    text_attribute,
)
from deqlab.data.formats.protocol import OffGridVolume
from deqlab.data.formats.samples import finite
from deqlab.data.formats.trajectory_fields import (
    OPTIONAL,
    check_optional,
    check_trajectory,
    check_truth,
    kspace_facts,
    matrix_of,
)
from deqlab.data.formats.trajectory_units import FIELD_OF_VIEW, NAME, per_pixel


@dataclass(frozen=True, kw_only=True)
class TrajectoryVolume(OffGridVolume):
    """The facts of one file; its samples are read slice by slice on demand.

    field_of_view: (rows, columns) in mm, or None. unit: of the positions in the file. has: names of
    the optional data sets that are there.
    """

    field_of_view: tuple[float, float] | None
    has: frozenset[str]
    unit: str = FIELD_OF_VIEW

    @property
    def matrix(self) -> tuple[int, int]:
        """(rows, columns) of the image."""
        return self.recon_shape

    @property
    def knows(self) -> frozenset[str]:
        return (self.has & {"target", "reference"}) | (
            {"target"} if "reference" in self.has else set()
        )

    @property
    def off_resonance(self) -> bool:
        return "field_map" in self.has

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index` as stored, complex (coil, samples). Raises InputError for a NaN
        or infinite sample.
        """
        samples = self._read("kspace", index).reshape(self.shape[1:])
        return finite(samples, "kspace", self.path, index)

    def trajectory(self, index: int) -> Tensor:
        """Where slice `index` was sampled: float64 (samples, 2), columns (ky, kx) in cycles per
        *pixel*, within +-0.5.
        """
        factor = per_pixel(self.unit, self.matrix, self.field_of_view, self.path)
        positions = self._of_slice("trajectory", index, 2) * factor
        return torch.from_numpy(positions.clip(-0.5, 0.5))

    def density(self, index: int) -> Tensor | None:
        """The file's density weights for slice `index`, float64 (samples,), None where it has
        none.
        """
        return (
            torch.from_numpy(self._of_slice("density", index, 1)) if "density" in self.has else None
        )

    def field_map(self, index: int) -> tuple[Tensor, Tensor] | None:
        """(off-resonance in Hz, float64 (rows, columns), readout times in seconds, float64
        (samples,)), None where the file has none.
        """
        if "field_map" not in self.has:
            return None
        times = self._of_slice("readout_times", index, 1)
        return torch.from_numpy(
            self._read("field_map", index).astype(np.float64)
        ), torch.from_numpy(times)

    def reference(self, index: int) -> np.ndarray | None:
        """The coil images of slice `index`, complex (coil, rows, columns), None where the file has
        none.
        """
        if "reference" not in self.has:
            return None
        images = self._read("reference", index).reshape(self.shape[1], *self.matrix)
        return finite(images, "reference", self.path, index)

    def target(self, index: int) -> np.ndarray | None:
        """The file's own `target`, float64 (rows, columns), or what its `reference` gives, or
        None.
        """
        if "target" not in self.has:
            return super().target(index)
        image = self._read("target", index).astype(np.float64)
        finite(image, "target", self.path, index)
        if image.min() < 0:
            raise InputError(
                f"{self.path}: target slice {index} reaches down to {image.min():g}; magnitudes"
                " >= 0 needed"
            )
        return image

    def _read(self, name: str, index: int | tuple) -> np.ndarray:
        with opened(self.path) as file:
            return read(dataset(file, name, self.path), self.path, index)

    def _of_slice(self, name: str, index: int, axes: int) -> np.ndarray:
        with opened(self.path) as file:
            data = dataset(file, name, self.path)
            return read(data, self.path, index if data.ndim > axes else ()).astype(np.float64)


@dataclass(frozen=True)
class TrajectoryLayout:
    """Files in the layout of this module: HDF5 with a `trajectory`."""

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def recognises(self, path: Path) -> bool:
        """Whether `path` is HDF5 with a `trajectory`."""
        return "trajectory" in (names_in(path) or ())

    def open(self, path: str | Path) -> TrajectoryVolume:
        """The validated facts of the file `path`, kept until the file changes.

        Reads no k-space and no truth, but all positions, weights, times and field maps. Raises
        InputError, one line naming file and field, for a file that is missing, not HDF5 or
        truncated, and for any field that is absent, linked, of the wrong kind or length, not finite
        or out of range.
        """
        path = Path(path)
        return _open(path, *stamp(path))


@lru_cache(maxsize=256)
def _open(path: Path, time: int, size: int) -> TrajectoryVolume:
    with opened(path) as file:
        shape, multicoil = kspace_facts(file, path)
        matrix = matrix_of(file, path)
        field_of_view = pair_attribute(file, "field_of_view", path)
        if field_of_view is not None and min(field_of_view) <= 0:
            raise InputError(
                f"{path}: attribute field_of_view is {field_of_view}; two positive lengths in mm"
                " needed"
            )
        unit = text_attribute(file, NAME, path) or FIELD_OF_VIEW
        factor = per_pixel(unit, matrix, field_of_view, path)
        check_trajectory(file, path, shape, matrix, factor, unit)
        has = frozenset(name for name in OPTIONAL if name in file.keys())
        check_optional(file, path, shape, matrix, has)
        check_truth(file, path, shape, matrix, multicoil, has)
        contrast, patient = (
            text_attribute(file, name, path) for name in ("acquisition", "patient_id")
        )
    sides = (
        (None, None)
        if field_of_view is None
        else (field_of_view[0] / matrix[0], field_of_view[1] / matrix[1])
    )
    return TrajectoryVolume(
        path=path,
        voxel=(None, *sides),
        shape=shape,
        recon_shape=matrix,
        field_of_view=field_of_view,
        has=has,
        unit=unit,
        contrast=contrast or "unknown",
        patient_id=patient or "",
    )
