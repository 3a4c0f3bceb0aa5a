"""The fields of a file off the grid, each checked for kind, shape and range before a sample is
read.
"""

import math
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from deqlab.core.errors import InputError
from deqlab.data.formats.fastmri_fields import LARGEST_SLICE, complex_samples, require
from deqlab.data.formats.hdf5 import dataset, pair_attribute, read

LARGEST_TRAJECTORY = 2**26  # positions, 1 GiB in float64
LARGEST_MATRIX = (
    4096  # pixels a side: a file declares it in one number, and the image takes its square
)
EDGE = 0.5 + 1e-6  # cycles per pixel; float32 positions may miss 0.5 by a rounding error
OPTIONAL = ("density", "readout_times", "field_map", "target", "reference")


def kspace_facts(file: h5py.File, path: Path) -> tuple[tuple[int, int, int], bool]:
    """((slices, coils, samples), has a coil axis) of `kspace`; InputError where it is unusable."""
    for name in ("kspace", "trajectory"):
        require(file, path, name)
    needed = "(slices, samples) or (slices, coils, samples) needed beside a trajectory"
    shape = complex_samples(file, path, (2, 3), needed)
    slices, *coils, samples = shape
    if math.prod(shape[1:]) > LARGEST_SLICE or samples > LARGEST_TRAJECTORY:
        raise InputError(
            f"{path}: kspace declares slices of {shape[1:]}; "
            f"at most {LARGEST_SLICE} samples at {LARGEST_TRAJECTORY} positions are read"
        )
    return (slices, coils[0] if coils else 1, samples), bool(coils)


def matrix_of(file: h5py.File, path: Path) -> tuple[int, int]:
    """(rows, columns) of the image, from the attribute `matrix`."""
    sides = pair_attribute(file, "matrix", path)
    if sides is None:
        raise InputError(f"{path}: no attribute `matrix`; (rows, columns) of the image are needed")
    if any(side != int(side) or not 1 <= side <= LARGEST_MATRIX for side in sides):
        raise InputError(
            f"{path}: attribute matrix is {sides}; whole numbers (rows, columns) from 1 to"
            f" {LARGEST_MATRIX} needed"
        )
    return int(sides[0]), int(sides[1])


def check_trajectory(
    file: h5py.File,
    path: Path,
    shape: tuple[int, int, int],
    matrix: tuple[int, int],
    per_pixel: np.ndarray,
    unit: str,
) -> None:
    """Raises InputError unless all positions, in `unit` and times `per_pixel` in cycles per pixel,
    are finite and on the grid's extent.
    """
    slices, _, samples = shape
    shapes = [(samples, 2), (slices, samples, 2)]
    _check(file, path, "trajectory", shapes, _within(matrix, per_pixel, unit))


def check_optional(
    file: h5py.File,
    path: Path,
    shape: tuple[int, int, int],
    matrix: tuple[int, int],
    has: frozenset[str],
) -> None:
    """Raises InputError where weights, times or field maps that are there cannot be used."""
    slices, _, samples = shape
    if "density" in has:
        _check(file, path, "density", [(samples,), (slices, samples)], _not_negative)
    if "readout_times" in has:
        _check(file, path, "readout_times", [(samples,)], None)
    if "field_map" in has:
        _check(file, path, "field_map", [(slices, *matrix)], None)
        if "readout_times" not in has:
            raise InputError(f"{path}: a field_map but no readout_times; off-resonance needs both")


def check_truth(
    file: h5py.File,
    path: Path,
    shape: tuple[int, int, int],
    matrix: tuple[int, int],
    multicoil: bool,
    has: frozenset[str],
) -> None:
    """Raises InputError where `target` or `reference` are not of the right kind and shape; their
    values are read slice by slice, when they are asked for.
    """
    slices, coils, _ = shape
    kinds = {
        "target": ((slices, *matrix), "iuf", "real magnitudes"),
        "reference": ((slices, *([coils] if multicoil else []), *matrix), "c", "complex images"),
    }
    for name, (wanted, kind, words) in kinds.items():
        if name not in has:
            continue
        data = dataset(file, name, path)
        if data.shape != wanted:
            raise InputError(
                f"{path}: {name} has shape {data.shape}; {wanted} needed for kspace and matrix of"
                " this file"
            )
        if data.dtype.kind not in kind:
            raise InputError(f"{path}: {name} is {data.dtype}; {words} needed")


# What is wrong with a data set's values, None for nothing.
Refusal = Callable[[np.ndarray], str | None]


def _check(
    file: h5py.File, path: Path, name: str, shapes: list[tuple[int, ...]], refusal: Refusal | None
) -> None:
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


def _within(matrix: tuple[int, int], per_pixel: np.ndarray, unit: str) -> Refusal:
    def refusal(values: np.ndarray) -> str | None:
        reach = np.abs(values).max(0)
        for axis, largest, factor in zip(("ky", "kx"), reach, per_pixel, strict=True):
            if largest * factor > EDGE:
                return (
                    f"reaches {largest:.6g} in {axis}; {unit} within +-{0.5 / factor:g} needed for"
                    f" a matrix of {matrix[0]}x{matrix[1]}"
                )
        return None

    return refusal


def _not_negative(values: np.ndarray) -> str | None:
    if values.min() < 0 or values.max() == 0:
        return (
            f"reaches from {values.min():g} to {values.max():g}; weights >= 0, not all zero, needed"
        )
    return None
