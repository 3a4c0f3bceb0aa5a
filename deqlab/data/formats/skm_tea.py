"""Raw data of SKM-TEA: HDF5, `kspace` complex (x, y, z, echoes, coils), `masks` of undersampling.

The readout x is Fourier transformed already: slices lie along it, echo after echo, and y and z are
phase encodings, rows and columns here. The file's `maps` are not read: coil maps are estimated.
Source: A. D. Desai et al., SKM-TEA: a dataset for accelerated MRI reconstruction with dense image
labels for quantitative clinical evaluation, NeurIPS datasets (2021).
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.core.spelling import nearest
from deqlab.data.formats.array_volume import array_volume
from deqlab.data.formats.axes import complex_kind, parse_axes
from deqlab.data.formats.hdf5 import dataset, names_in, opened, read, stamp
from deqlab.data.formats.protocol import Volume

MASKS = "masks"


@options
class SkmTea:
    """HDF5 with a `kspace` of five axes."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # .h5 is fastMRI's
    sampling: str = option("", "mask of the file to undersample by, such as poisson_6.0x")

    def recognises(self, path: Path) -> bool:
        """Whether `kspace` has five axes, and the file no header of fastMRI's."""
        names = names_in(path) or frozenset()
        if "kspace" not in names or "ismrmrd_header" in names:
            return False
        with opened(path) as file:
            if not isinstance(file.get("kspace", getlink=True), h5py.HardLink):
                return False
            data = file["kspace"]
            return isinstance(data, h5py.Dataset) and len(data.shape or ()) == 5

    def open(self, path: str | Path) -> Volume:
        """The facts of the file; InputError for a mask that it does not have."""
        path = Path(path)
        return _open(path, self, *stamp(path))


@lru_cache(maxsize=16)
def _open(path: Path, told: SkmTea, time: int, size: int) -> Volume:
    with opened(path) as file:
        data = dataset(file, "kspace", path)
        complex_kind(data.dtype, path, "kspace")
        # The order of slices: echo after echo.
        axes = parse_axes("slice,y,x,echo,coil", data.shape, path, "kspace")
        mask = _mask(file, path, told.sampling, data.shape[1:3])
    notes = ["the readout is transformed already: slices lie along it"]
    if axes.size("echo") > 1:
        notes.append(f"{axes.size('echo')} echoes follow one another at each place as slices")
    return array_volume(path, axes, partial(_part, path, mask), tuple(notes), mask=mask)


def _mask(file: h5py.File, path: Path, wanted: str, shape: tuple[int, int]) -> np.ndarray | None:
    if not wanted:
        return None
    group = file.get(MASKS) if isinstance(file.get(MASKS, getlink=True), h5py.HardLink) else None
    names = list(group.keys()) if isinstance(group, h5py.Group) else []
    if wanted not in names:
        raise InputError(
            f"{path}: --sampling {wanted}: no such mask{nearest(wanted, names)}; it holds"
            f" {', '.join(names[:8]) or 'none'}"
        )
    mask = read(dataset(file, f"{MASKS}/{wanted}", path), path) != 0
    if mask.shape != shape:
        raise InputError(f"{path}: {MASKS}/{wanted} has shape {mask.shape}; {shape} needed")
    return np.asarray(mask)


def _part(path: Path, mask: np.ndarray | None, part: tuple[int | slice, ...]) -> np.ndarray:
    with opened(path) as file:
        samples = read(dataset(file, "kspace", path), path, part)
    return samples if mask is None else samples * mask[..., None]
