"""HDF5 files of strangers: opened read-only, one line for every failure, no link followed.

A link or a virtual data set can make a harmless-looking file read any other file of its reader, and
an attribute of objects could ask for code to run. k-space files need none of them, so all are
refused.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Any

import h5py
import numpy as np

from deqlab.core.errors import InputError

SUFFIXES = (".h5", ".hdf5")
SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file at `path`, open for reading. Raises InputError for what cannot be opened, and
    for what HDF5 finds damaged while it is.
    """
    stamp(path)
    try:
        # Locks protect nothing that is only read, and fail on many network drives.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        # HDF5's own messages are many lines long; only three causes matter to a user.
        if "truncated" in str(error):
            raise InputError(f"{path}: truncated HDF5 file; copy or download it again") from None
        if isinstance(error, PermissionError):
            raise InputError(f"{path}: may not be read (permission denied)") from None
        raise InputError(
            f"{path}: not a readable HDF5 file; fastMRI files are HDF5 with a `kspace` data set"
        ) from None
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:  # HDF5's own, from a damaged structure
            reason = " ".join(str(error).split())[:100]
            raise InputError(f"{path}: damaged or truncated HDF5 structure ({reason})") from None


def names_in(path: Path) -> frozenset[str] | None:
    """What the root of the HDF5 file at `path` holds; None where the file is no HDF5.

    Raises InputError for a file that is damaged or may not be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: may not be read ({error.strerror})") from None
    # A user block before the signature is for h5py to find.
    if head != SIGNATURE and not h5py.is_hdf5(path):
        return None
    with opened(path) as file:
        return frozenset(file.keys())


def dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """The data set `name`, stored in this very file.

    Raises InputError for a link, a group, and for virtual or external storage.
    """
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = {h5py.ExternalLink: "an external link", h5py.SoftLink: "a soft link"}.get(
            type(link), "a link"
        )
        raise InputError(f"{path}: {name} is {kind}; the data must be stored in the file itself")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group; a data set is needed")
    if found.is_virtual or found.id.get_create_plist().get_external_count() > 0:
        raise InputError(
            f"{path}: {name} takes its data from other files; the data must be stored in the file"
            " itself"
        )
    return found


def read(data: h5py.Dataset, path: Path, index: int | tuple = ()) -> np.ndarray:
    """`data[index]`; a damaged or truncated part becomes an InputError."""
    try:
        return np.asarray(data[index])
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: {data.name.lstrip('/')} is damaged or truncated ({reason}); copy or download"
            " it again"
        ) from None


def text_attribute(file: h5py.File, name: str, path: Path) -> str | None:
    """A text attribute on one line, None where absent.

    Raises InputError for any other type: nothing is unpickled.
    """
    value = _attribute(file, name, path, "a text")
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        raise InputError(f"{path}: attribute {name} is {type(value).__name__}; a text needed")
    return " ".join(value.split())


def number_attribute(file: h5py.File, name: str, path: Path) -> float | None:
    """A finite number, None where absent."""
    value = _attribute(file, name, path, "a number")
    if value is None:
        return None
    if (
        not isinstance(value, (np.number, int, float))
        or np.iscomplexobj(value)
        or not math.isfinite(value)
    ):
        raise InputError(f"{path}: attribute {name} is {str(value)[:40]!r}; a finite number needed")
    return float(value)


def pair_attribute(file: h5py.File, name: str, path: Path) -> tuple[float, float] | None:
    """Two finite numbers, such as (rows, columns); None where absent."""
    value = _attribute(file, name, path, "two numbers", count=2)
    if value is None:
        return None
    if value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise InputError(
            f"{path}: attribute {name} is {str(value.tolist())[:40]}; two finite numbers needed"
        )
    return float(value[0]), float(value[1])


def _attribute(file: h5py.File, name: str, path: Path, wanted: str, count: int = 1) -> Any:
    """A scalar, or where `count` is not 1 an array (count,); None where absent."""
    if name not in file.attrs:
        return None
    kind = file.attrs.get_id(name)
    if (
        kind.dtype.kind == "O" and h5py.check_string_dtype(kind.dtype) is None
    ) or kind.dtype.kind == "V":
        raise InputError(f"{path}: attribute {name} holds objects; {wanted} needed")
    value = np.asarray(file.attrs[name])
    if value.size != count:
        raise InputError(f"{path}: attribute {name} has shape {value.shape}; {wanted} needed")
    return value.reshape(-1)[0] if count == 1 else value.reshape(-1)


def stamp(path: Path) -> tuple[int, int]:
    """Time and size of a file, which change when it is rewritten; InputError where there is none,
    or a pipe or device, whose reading might never end.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; an HDF5 file is needed")
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not S_ISREG(status.st_mode):
        raise InputError(f"{path}: is a pipe or device; a file is needed")
    return status.st_mtime_ns, status.st_size
