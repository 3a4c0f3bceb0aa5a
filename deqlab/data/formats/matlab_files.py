"""k-space of a variable in a MATLAB file, version 5 (read at once) or 7.3 (read slice by slice).

Axes are named as MATLAB shows them: HDF5, which version 7.3 is, has them in the other order. No
object, function handle or link is followed.
"""

import math
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, Literal

import h5py
import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.core.spelling import nearest
from deqlab.data.formats.array_volume import Read, array_volume
from deqlab.data.formats.axes import complex_kind, fits_memory, guessed_axes, parse_axes
from deqlab.data.formats.hdf5 import dataset, opened, read, stamp
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.spokes import EXPLAINED, Spokes

VERSION_5, VERSION_73 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
PARTS = ("real", "imag")
# Preset -> names of axes, of which a variable with fewer leaves out the last.
PRESETS = {"cmrxrecon": "y,x,coil,slice,time"}


@options
class MatlabFiles:
    """Files of MATLAB's save."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # of those that are no k-space there are too many
    axes: str = option("", "names of an array's axes in their order, such as y,x,coil,slice")
    variable: str = option("", "name of the array, of a file that holds several")
    preset: Literal["cmrxrecon"] | None = option(
        None, "axes as a data set has them: cmrxrecon (kspace_full, kspace_sub04 and others)"
    )
    image: bool = option(False, "the array holds images, whose k-space is emulated")
    spokes: Spokes | None = option(None, EXPLAINED)
    matrix: Count | None = option(None, "pixels a side of the image (default: samples of a spoke)")

    def recognises(self, path: Path) -> bool:
        """Whether the file begins as MATLAB's do."""
        with path.open("rb") as file:
            return file.read(len(VERSION_5)) in (VERSION_5, VERSION_73)

    def open(self, path: str | Path) -> Volume:
        """The facts of the variable; InputError where it is no k-space."""
        path = Path(path)
        return _open(path, self, *stamp(path))


@lru_cache(maxsize=16)
def _open(path: Path, told: MatlabFiles, time: int, size: int) -> Volume:
    if told.preset and told.axes:
        raise InputError(f"{path}: --preset {told.preset} and --axes given; one of them needed")
    with path.open("rb") as file:
        newer = file.read(len(VERSION_73)) == VERSION_73
    shapes = _shapes_73(path) if newer else _shapes_5(path)
    name = _chosen(path, told.variable, shapes)
    shape = shapes[name]
    if math.prod(shape) == 0:
        raise InputError(f"{path}: {name} is empty")
    if newer:
        kind, reader = _kind_73(path, name), partial(_part_73, path, name)
    else:
        fits_memory(shape, path, name)
        kind, reader = (
            _whole(path, name, time, size).dtype,
            partial(_part_5, path, name, time, size),
        )
    if not told.image:
        complex_kind(kind, path, name)
    elif kind.kind not in "cfiu":
        raise InputError(f"{path}: {name} is {kind}; numbers needed")
    text = told.axes
    notes: tuple[str, ...] = ()
    if told.preset:
        text = ",".join(PRESETS[told.preset].split(",")[: len(shape)])
    if text:
        axes = parse_axes(text, shape, path, name)
    else:
        axes, note = guessed_axes(shape, path, name)
        notes = (note,)
    read_part: Read = reader
    return array_volume(
        path, axes, read_part, notes, image=told.image, spokes=told.spokes, matrix=told.matrix
    )


def _chosen(path: Path, wanted: str, shapes: dict[str, tuple[int, ...]]) -> str:
    """The variable that is wanted, or the only one that may be an image; InputError with what is
    there.
    """
    arrays = [name for name, shape in shapes.items() if sum(side > 1 for side in shape) > 1]
    if not wanted and len(arrays) == 1:
        return arrays[0]
    if wanted in shapes:
        return wanted
    there = ", ".join(f"{name} ({'x'.join(map(str, shapes[name]))})" for name in list(shapes)[:8])
    asked = f"no variable `{wanted}`{nearest(wanted, shapes)}" if wanted else "name its --variable"
    raise InputError(f"{path}: {asked}; it holds {there or 'nothing'}")


def _shapes_5(path: Path) -> dict[str, tuple[int, ...]]:
    from scipy.io import whosmat

    try:
        return {name: tuple(map(int, shape)) for name, shape, _ in whosmat(path)}
    except Exception as error:  # a damaged file makes scipy raise errors of many kinds
        raise _damaged(path, error) from None


@lru_cache(maxsize=2)
def _whole(path: Path, name: str, time: int, size: int) -> np.ndarray:
    from scipy.io import loadmat

    try:
        return np.asarray(loadmat(path, variable_names=[name])[name])
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:100]
    return InputError(f"{path}: not a readable MATLAB file, or truncated ({reason})")


def _part_5(
    path: Path, name: str, time: int, size: int, part: tuple[int | slice, ...]
) -> np.ndarray:
    return np.array(_whole(path, name, time, size)[part])


def _shapes_73(path: Path) -> dict[str, tuple[int, ...]]:
    with opened(path) as file:
        names = [
            name
            for name in file.keys()
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
            and isinstance(file[name], h5py.Dataset)
        ]
        return {name: tuple(file[name].shape or ())[::-1] for name in names}


def _kind_73(path: Path, name: str) -> np.dtype:
    with opened(path) as file:
        kind = dataset(file, name, path).dtype
    if kind.names is not None and set(kind.names) == set(PARTS):
        return np.dtype(np.complex64 if kind["real"].itemsize == 4 else np.complex128)
    return kind


def _part_73(path: Path, name: str, part: tuple[int | slice, ...]) -> np.ndarray:
    with opened(path) as file:
        found = read(dataset(file, name, path), path, part[::-1])
    if found.dtype.names is not None:
        found = found["real"] + 1j * found["imag"]
    return found.transpose()
