"""k-space of the Calgary-Campinas challenge: HDF5, `kspace` real (slices, y, x, 2 coils).

Real and imaginary parts of the coils take turns. The readout is Fourier transformed already, so
slices lie along it and both other directions are phase encodings; the zero frequency is the first
sample, which is brought to the middle here, in such a way that images are centred.
Source: R. Souza et al., An open, multi-vendor, multi-field-strength brain MR dataset, NeuroImage
170 (2018), and the multi-channel challenge's example code.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import options
from deqlab.data.formats.array_volume import array_volume
from deqlab.data.formats.axes import Axes
from deqlab.data.formats.hdf5 import dataset, names_in, opened, read, stamp
from deqlab.data.formats.protocol import Volume


@options
class CalgaryCampinas:
    """HDF5 with a real `kspace` of four axes."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # .h5 is fastMRI's

    def recognises(self, path: Path) -> bool:
        """Whether `kspace` is real, of four axes, its last axis even and no longer than the sides
        of an image, and without a header: real values in fastMRI's order are no k-space.
        """
        names = names_in(path) or frozenset()
        if "kspace" not in names or names & {"trajectory", "ismrmrd_header"}:
            return False
        with opened(path) as file:
            if not isinstance(file.get("kspace", getlink=True), h5py.HardLink):
                return False
            data = file["kspace"]
            if not isinstance(data, h5py.Dataset) or len(data.shape or ()) != 4:
                return False
            _, rows, columns, parts = data.shape
            return bool(data.dtype.kind == "f" and parts % 2 == 0 and parts <= min(rows, columns))

    def open(self, path: str | Path) -> Volume:
        """The facts of the file; InputError where a side is empty."""
        path = Path(path)
        return _open(path, *stamp(path))


@lru_cache(maxsize=64)
def _open(path: Path, time: int, size: int) -> Volume:
    with opened(path) as file:
        slices, rows, columns, parts = dataset(file, "kspace", path).shape
    if 0 in (slices, rows, columns, parts):
        raise InputError(f"{path}: kspace of shape {(slices, rows, columns, parts)} is empty")
    axes = Axes(("slice", "coil", "y", "x"), (None,) * 4, (slices, parts // 2, rows, columns))
    notes = ("the readout is transformed already: slices lie along it",)
    return array_volume(path, axes, partial(_part, path), notes)


def _part(path: Path, part: tuple[int | slice, ...]) -> np.ndarray:
    with opened(path) as file:
        values = read(dataset(file, "kspace", path), path, part[0])  # type: ignore[arg-type]
    samples = (values[..., ::2] + 1j * values[..., 1::2]).astype(np.complex64)
    # A turn of the image by half its sides is a phase of its k-space.
    for axis, length in enumerate(samples.shape[:2]):
        turn = np.exp(2j * np.pi * (np.arange(length) * (length // 2) % length) / length)
        samples = samples * turn.astype(np.complex64).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    return np.fft.fftshift(samples, (0, 1)).transpose(2, 0, 1)
