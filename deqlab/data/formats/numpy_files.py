"""k-space in a .npy or .npz file, or images of which k-space is emulated.

Nothing is unpickled, and a header that declares more than the file holds is refused before anything
is read. A .npy file is read slice by slice; an array of a .npz file, which is a zip, at once.
"""

import math
import zipfile
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib import format as npy

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.core.spelling import nearest
from deqlab.data.formats.array_volume import array_volume
from deqlab.data.formats.axes import complex_kind, fits_memory, guessed_axes, parse_axes
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.spokes import EXPLAINED, Spokes

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
AXES = "names of an array's axes in their order, such as slice,coil,y,x or spoke,coil,sample"
IMAGE = "the array holds images, whose k-space is emulated"


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    kind: np.dtype


@options
class NumpyFiles:
    """Files of numpy.save and numpy.savez."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # of those that are no k-space there are too many
    axes: str = option("", AXES)
    variable: str = option("", "name of the array, of a file that holds several")
    image: bool = option(False, IMAGE)
    spokes: Spokes | None = option(None, EXPLAINED)
    matrix: Count | None = option(None, "pixels a side of the image (default: samples of a spoke)")

    def recognises(self, path: Path) -> bool:
        """Whether the file begins as such files do."""
        with path.open("rb") as file:
            head = file.read(6)
        if head[:4] != ZIP or not zipfile.is_zipfile(path):
            return head == NPY
        try:
            with zipfile.ZipFile(path) as inside:
                return any(name.endswith(".npy") for name in inside.namelist())
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise InputError(f"{path}: a damaged zip ({error})") from None

    def open(self, path: str | Path) -> Volume:
        """The facts of the array; InputError where it is no k-space."""
        path = Path(path)
        return _open(path, self, *stamp(path))


@lru_cache(maxsize=64)
def _open(path: Path, told: NumpyFiles, time: int, size: int) -> Volume:
    member = None
    if zipfile.is_zipfile(path):
        try:
            member = _member(path, told.variable)
            with zipfile.ZipFile(path) as inside, inside.open(f"{member}.npy") as file:
                header = _header(file, path)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{path}: a damaged or locked zip ({error})") from None
        read: Any = partial(_part_of_member, path, member, time, size)
        fits_memory(header.shape, path, member)
    else:
        if told.variable:
            raise InputError(f"{path}: --variable {told.variable} given, but a .npy has one array")
        with path.open("rb") as file:
            header = _header(file, path)
            needed = file.tell() + math.prod(header.shape) * header.kind.itemsize
        if needed > size:
            raise InputError(
                f"{path}: truncated: {size} bytes, its header needs {needed}; copy it again"
            )
        read = partial(_part_of_file, path)
    what = member or "array"
    if not told.image:
        complex_kind(header.kind, path, what)
    elif header.kind.kind not in "cfiu":
        raise InputError(f"{path}: {what} is {header.kind}; numbers needed")
    notes: tuple[str, ...] = ()
    if told.axes:
        axes = parse_axes(told.axes, header.shape, path, what)
    else:
        axes, note = guessed_axes(header.shape, path, what)
        notes = (note,)
    return array_volume(
        path, axes, read, notes, image=told.image, spokes=told.spokes, matrix=told.matrix
    )


def _header(file: Any, path: Path) -> _Header:
    """Shape and type of what numpy saved; InputError where that cannot be told or is no array."""
    try:
        version = npy.read_magic(file)
        reader = {(1, 0): npy.read_array_header_1_0}.get(version, npy.read_array_header_2_0)
        shape, _, kind = reader(file)
    except Exception as error:  # a damaged header makes numpy raise errors of many kinds
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: not a readable NumPy file ({reason})") from None
    if kind.hasobject:
        raise InputError(f"{path}: holds Python objects, which are never unpickled; numbers needed")
    if any(side < 0 for side in shape):
        raise InputError(f"{path}: its header says the shape {tuple(shape)}; lengths >= 0 needed")
    return _Header(tuple(shape), kind)


def _member(path: Path, wanted: str) -> str:
    with zipfile.ZipFile(path) as inside:
        names = [name.removesuffix(".npy") for name in inside.namelist() if name.endswith(".npy")]
    if not wanted and len(names) == 1:
        return names[0]
    if not wanted and "kspace" in names:
        return "kspace"
    if wanted not in names:
        asked = f"no `{wanted}`{nearest(wanted, names)}" if wanted else "which array? --variable"
        raise InputError(f"{path}: {asked}; it holds {', '.join(names[:8]) or 'nothing'}")
    return wanted


def _part_of_file(path: Path, part: tuple[int | slice, ...]) -> np.ndarray:
    try:
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[part])
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: is damaged or truncated ({reason})") from None


def _part_of_member(
    path: Path, name: str, time: int, size: int, part: tuple[int | slice, ...]
) -> np.ndarray:
    return np.array(_whole(path, name, time, size)[part])


@lru_cache(maxsize=2)
def _whole(path: Path, name: str, time: int, size: int) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except Exception as error:  # of numpy, zipfile and zlib
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: {name} is damaged or truncated ({reason})") from None
