"""Files of k-space off the grid: their layout, a reader without trust, a writer.

    kspace         complex (slices, coils, samples), or (slices, samples) for a single coil
    trajectory     real (samples, 2), or (slices, samples, 2) where it changes; columns (ky, kx) in
                   cycles per field of view
    density        optional, real (samples,) or (slices, samples), >= 0: the share of k-space of
                   each sample, 1 for one Cartesian sample
    readout_times  optional, real (samples,), seconds from the time at which off-resonance has no
                   effect
    field_map      optional, real (slices, rows, columns), off-resonance in Hz; goes with
                   readout_times
    attributes     matrix (rows, columns) of the image; optional: field_of_view (rows, columns) in
                   mm, acquisition, patient_id

In cycles per field of view neighbours on a Cartesian grid are 1 apart, and the trajectory reaches
from -matrix / 2 to matrix / 2 along each axis. The sign is that of `fft2c`: a sample is the sum
over pixels of image times exp(-2 pi i k r), r counted from pixel N // 2, over the root of the
number of pixels. Nothing else of the file is read.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import InputError
from deqlab.data.formats.fastmri import peak
from deqlab.data.formats.fastmri_fields import LARGEST_SLICE
from deqlab.data.formats.hdf5 import dataset, opened, pair_attribute, read, stamp, text_attribute
from deqlab.data.formats.write_fastmri import hdf5_bytes

LARGEST_TRAJECTORY = 2**26  # positions, 1 GiB in float64
LARGEST_MATRIX = (
    4096  # pixels a side: a file declares it in one number, and the image takes its square
)
EDGE = 0.5 + 1e-6  # cycles per pixel; float32 positions may miss 0.5 by a rounding error


@dataclass(frozen=True)
class NonCartesianVolume:
    """The facts of one file; its samples are read slice by slice on demand.

    shape: (slices, coils, samples) of k-space. matrix: (rows, columns) of the image. field_of_view:
        (rows, columns) in mm, or None.
    has: names of the optional data sets that are there.
    """

    path: Path
    shape: tuple[int, int, int]
    matrix: tuple[int, int]
    field_of_view: tuple[float, float] | None
    has: frozenset[str]
    contrast: str
    patient_id: str

    @property
    def slices(self) -> int:
        return self.shape[0]

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index` as stored, complex (coil, samples). Raises InputError for a NaN
        or infinite sample.
        """
        samples = self._read("kspace", index).reshape(self.shape[1:])
        if not math.isfinite(peak(samples)):
            raise InputError(
                f"{self.path}: kspace slice {index} holds NaN or infinite samples; all must be"
                " finite"
            )
        return samples

    def trajectory(self, index: int) -> Tensor:
        """Where slice `index` was sampled: float64 (samples, 2), columns (ky, kx) in cycles per
        *pixel*, within +-0.5.
        """
        per_pixel = self._of_slice("trajectory", index, 2) / np.asarray(self.matrix)
        return torch.from_numpy(per_pixel.clip(-0.5, 0.5))

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

    def _read(self, name: str, index: int | tuple) -> np.ndarray:
        with opened(self.path) as file:
            return read(dataset(file, name, self.path), self.path, index)

    def _of_slice(self, name: str, index: int, axes: int) -> np.ndarray:
        with opened(self.path) as file:
            data = dataset(file, name, self.path)
            return read(data, self.path, index if data.ndim > axes else ()).astype(np.float64)


def is_noncartesian(path: str | Path) -> bool:
    """Whether the file has a `trajectory`. Raises InputError for what is no readable HDF5 file."""
    with opened(Path(path)) as file:
        return "trajectory" in file.keys()


def open_noncartesian(path: str | Path) -> NonCartesianVolume:
    """The validated facts of the file `path`, kept until the file changes.

    Reads no k-space, but all positions, weights, times and field maps. Raises InputError, one line
    naming file and field, for a file that is missing, not HDF5 or truncated, and for any field that
    is absent, linked, of the wrong kind or length, not finite or out of range.
    """
    path = Path(path)
    return _open(path, *stamp(path))


@lru_cache(maxsize=256)
def _open(path: Path, time: int, size: int) -> NonCartesianVolume:
    with opened(path) as file:
        shape = _kspace_shape(file, path)
        slices, _, samples = shape
        matrix = _matrix(file, path)
        field_of_view = pair_attribute(file, "field_of_view", path)
        if field_of_view is not None and min(field_of_view) <= 0:
            raise InputError(
                f"{path}: attribute field_of_view is {field_of_view}; two positive lengths in mm"
                " needed"
            )
        _check(file, path, "trajectory", [(samples, 2), (slices, samples, 2)], _within(matrix))
        has = {name for name in ("density", "readout_times", "field_map") if name in file.keys()}
        if "density" in has:
            _check(file, path, "density", [(samples,), (slices, samples)], _not_negative)
        if "readout_times" in has:
            _check(file, path, "readout_times", [(samples,)], None)
        if "field_map" in has:
            _check(file, path, "field_map", [(slices, *matrix)], None)
            if "readout_times" not in has:
                raise InputError(
                    f"{path}: a field_map but no readout_times; off-resonance needs both"
                )
        contrast, patient = (
            text_attribute(file, name, path) for name in ("acquisition", "patient_id")
        )
    return NonCartesianVolume(
        path, shape, matrix, field_of_view, frozenset(has), contrast or "unknown", patient or ""
    )


def _kspace_shape(file: h5py.File, path: Path) -> tuple[int, int, int]:
    for name in ("kspace", "trajectory"):
        if name not in file.keys():
            raise InputError(
                f"{path}: no `{name}`; it holds {', '.join(list(file.keys())[:8]) or 'nothing'}"
            )
    data = dataset(file, "kspace", path)
    if data.shape is None or data.ndim not in (2, 3):
        raise InputError(
            f"{path}: kspace has shape {data.shape}; (slices, samples) or (slices, coils, samples)"
            " needed beside a trajectory"
        )
    if data.dtype.kind != "c":
        raise InputError(
            f"{path}: kspace is {data.dtype}; complex samples needed (complex64, or compound r, i)"
        )
    if 0 in data.shape:
        raise InputError(
            f"{path}: kspace has shape {data.shape}; every axis needs at least one sample"
        )
    slices, *coils, samples = data.shape
    if math.prod(data.shape[1:]) > LARGEST_SLICE or samples > LARGEST_TRAJECTORY:
        raise InputError(
            f"{path}: kspace declares slices of {data.shape[1:]}; "
            f"at most {LARGEST_SLICE} samples at {LARGEST_TRAJECTORY} positions are read"
        )
    return slices, coils[0] if coils else 1, samples


def _matrix(file: h5py.File, path: Path) -> tuple[int, int]:
    sides = pair_attribute(file, "matrix", path)
    if sides is None:
        raise InputError(f"{path}: no attribute `matrix`; (rows, columns) of the image are needed")
    if any(side != int(side) or not 1 <= side <= LARGEST_MATRIX for side in sides):
        raise InputError(
            f"{path}: attribute matrix is {sides}; whole numbers (rows, columns) from 1 to"
            f" {LARGEST_MATRIX} needed"
        )
    return int(sides[0]), int(sides[1])


def _check(file: h5py.File, path: Path, name: str, shapes: list[tuple[int, ...]], refusal) -> None:
    """Raises InputError unless `name` is real, finite, of one of `shapes`, and `refusal(values)` is
    None.
    """
    data = dataset(file, name, path)
    if data.shape not in shapes:
        wanted = " or ".join(map(str, dict.fromkeys(shapes)))
        raise InputError(
            f"{path}: {name} has shape {data.shape}; {wanted} needed for kspace and matrix of this"
            " file"
        )
    if data.dtype.kind not in "iuf":
        raise InputError(f"{path}: {name} is {data.dtype}; real numbers needed")
    for index in (
        range(len(data)) if len(shapes) > 1 and data.shape == shapes[-1] != shapes[0] else [()]
    ):
        values = read(data, path, index).astype(np.float64)
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise InputError(
                f"{path}: {name} holds {count} NaN or infinite values; all must be finite"
            )
        reason = refusal(values) if refusal else None
        if reason:
            raise InputError(f"{path}: {name} {reason}")


def _within(matrix: tuple[int, int]):
    def refusal(values: np.ndarray) -> str | None:
        reach = np.abs(values).max(0)
        for axis, largest, side in zip(("ky", "kx"), reach, matrix, strict=True):
            if largest > EDGE * side:
                return (
                    f"reaches {largest:.6g} in {axis}; cycles per field of view within"
                    f" +-{side / 2:g} needed for a matrix of {matrix[0]}x{matrix[1]}"
                )
        return None

    return refusal


def _not_negative(values: np.ndarray) -> str | None:
    if values.min() < 0 or values.max() == 0:
        return (
            f"reaches from {values.min():g} to {values.max():g}; weights >= 0, not all zero, needed"
        )
    return None


def write_noncartesian(
    path: str | Path,
    kspace: np.ndarray,
    trajectory: np.ndarray,
    matrix: tuple[int, int],
    density: np.ndarray | None = None,
    field_of_view: tuple[float, float] | None = None,
    readout_times: np.ndarray | None = None,
    field_map: np.ndarray | None = None,
    contrast: str = "unknown",
    patient_id: str = "",
) -> Path:
    """`path`, now holding a volume in the layout of this file; the same arguments give the same
    bytes.

    kspace: complex (slices, coils, samples) or (slices, samples). trajectory: real (samples, 2) or
    (slices, samples, 2) in cycles per *pixel*, as everywhere in deqlab; the file holds cycles per
    field of view. The other arguments: as the file holds them. The file is read back before it
    takes its name: InputError for whatever the reader would refuse, and for a file that cannot be
    written.
    """
    path, matrix = Path(path), tuple(int(side) for side in matrix)
    kspace = np.asarray(kspace)
    trajectory = np.asarray(trajectory, dtype=np.float64)
    if (
        not np.iscomplexobj(kspace)
        or trajectory.ndim not in (2, 3)
        or trajectory.shape[-1] != 2
        or len(matrix) != 2
    ):
        raise InputError(
            f"{path}: kspace of type {kspace.dtype}, trajectory of shape {trajectory.shape}, matrix"
            f" {matrix}; complex kspace, trajectory (..., samples, 2) and (rows, columns) needed"
        )
    datasets: dict[str, object] = {
        "kspace": kspace.astype(np.complex64, copy=False),
        "trajectory": trajectory * np.asarray(matrix),
    }
    optional = {"density": density, "readout_times": readout_times, "field_map": field_map}
    datasets |= {name: np.asarray(value) for name, value in optional.items() if value is not None}
    attributes: dict[str, object] = {
        "matrix": matrix,
        "acquisition": contrast,
        "patient_id": patient_id,
    }
    if field_of_view is not None:
        attributes["field_of_view"] = tuple(map(float, field_of_view))
    with atomic_path(path) as temporary:
        write_durably(temporary, hdf5_bytes(datasets, attributes))
        try:
            volume = open_noncartesian(temporary)
            for index in range(volume.slices):
                volume.kspace(index)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(path))) from None
    return path
