"""The fields of fastMRI's schema, each checked for kind and shape before a sample is read."""

import math
from pathlib import Path

import h5py
import numpy as np

from deqlab.core.errors import InputError
from deqlab.data.formats.hdf5 import dataset, read
from deqlab.data.formats.ismrmrd_header import Header, parse_header

# Complex samples of all coils, 4 GiB in complex64: a small file can declare far more than it holds.
LARGEST_SLICE = 2**29


def kspace_shape(file: h5py.File, path: Path) -> tuple[tuple[int, int, int, int], bool]:
    """((slices, coils, rows, columns), has a coil axis) of `kspace`; InputError where it is
    unusable.
    """
    require(file, path, "kspace")
    if "trajectory" in file.keys():
        # (slices, coils, samples) would pass for (slices, rows, columns).
        raise InputError(
            f"{path}: has a trajectory, so it is not on a Cartesian grid, as fastMRI's schema is"
        )
    needed = "(slices, rows, columns) or (slices, coil, rows, columns) needed"
    shape = complex_samples(file, path, (3, 4), needed)
    if math.prod(shape[1:]) > LARGEST_SLICE:
        raise InputError(
            f"{path}: kspace declares slices of {shape[1:]}; at most {LARGEST_SLICE} samples"
            " are read"
        )
    slices, *coils, rows, columns = shape
    return (slices, coils[0] if coils else 1, rows, columns), bool(coils)


def require(file: h5py.File, path: Path, name: str) -> None:
    """InputError, with what there is instead, where the file has no data set `name`."""
    if name not in file.keys():
        raise InputError(
            f"{path}: no `{name}`; it holds {', '.join(list(file.keys())[:8]) or 'nothing'}"
        )


def complex_samples(
    file: h5py.File, path: Path, axes: tuple[int, ...], needed: str
) -> tuple[int, ...]:
    """The shape of `kspace`; InputError unless it has one of so many axes, none of them empty, and
    complex samples. needed: in words.
    """
    data = dataset(file, "kspace", path)
    if data.shape is None or data.ndim not in axes:
        raise InputError(f"{path}: kspace has shape {data.shape}; {needed}")
    if data.dtype.kind != "c":
        raise InputError(
            f"{path}: kspace is {data.dtype}; complex samples needed (complex64, or compound r, i)"
        )
    if 0 in data.shape:
        raise InputError(
            f"{path}: kspace has shape {data.shape}; every axis needs at least one sample"
        )
    return tuple(data.shape)


def read_mask(file: h5py.File, path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The file's `mask`, bool (columns,) or (rows, columns), None where it has none.

    Raises InputError for one that does not fit.
    """
    if "mask" not in file.keys():
        return None
    rows, columns = shape[-2:]
    data = dataset(file, "mask", path)
    if data.shape not in ((columns,), (rows, columns)):
        raise InputError(
            f"{path}: mask has shape {data.shape}; "
            f"({columns},), one per k-space column, or ({rows}, {columns}) needed"
        )
    if data.dtype.kind not in "biuf":
        raise InputError(f"{path}: mask is {data.dtype}; bool, or numbers 0 and 1, needed")
    values = read(data, path)
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}: mask holds values other than 0 and 1")
    if not values.any():
        raise InputError(f"{path}: mask is empty; at least one column must be sampled")
    mask = values.astype(bool)
    # A two-dimensional mask of whole columns is a mask of columns.
    return mask[0] if mask.ndim == 2 and (mask == mask[0]).all() else mask


def target_facts(
    file: h5py.File, path: Path, shape: tuple[int, ...], multicoil: bool
) -> tuple[str | None, tuple[int, int] | None]:
    """(name, (h, w)) of the target, (None, None) where there is none.

    Single-coil fastMRI files hold both kinds: `reconstruction_esc` is the one of their own k-space.
    """
    names = ("reconstruction_rss", "reconstruction_esc")
    for name in names if multicoil else reversed(names):
        if name not in file.keys():
            continue
        data = dataset(file, name, path)
        if data.dtype.kind not in "fiu":
            raise InputError(f"{path}: {name} is {data.dtype}; real magnitudes needed")
        if data.shape is None or data.ndim != 3 or data.shape[0] != shape[0] or 0 in data.shape:
            raise InputError(
                f"{path}: {name} has shape {data.shape}; ({shape[0]} slices, h, w) needed, as many"
                " as kspace"
            )
        return name, data.shape[1:]
    return None, None


def read_header(file: h5py.File, path: Path) -> Header | None:
    """The parsed `ismrmrd_header`, None where the file has none."""
    if "ismrmrd_header" not in file.keys():
        return None
    data = dataset(file, "ismrmrd_header", path)
    if data.size != 1 or (h5py.check_string_dtype(data.dtype) is None and data.dtype.kind != "S"):
        raise InputError(
            f"{path}: ismrmrd_header is {data.dtype} of shape {data.shape}; one text of XML needed"
        )
    try:
        return parse_header(read(data, path).reshape(-1)[0])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
