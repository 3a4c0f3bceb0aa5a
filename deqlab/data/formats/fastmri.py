"""A fastMRI file, opened without trust: facts are checked before a sample is read.

kspace: complex (slices[, coil], rows, columns); rows are the readout, columns the phase-encode
direction. reconstruction_rss or reconstruction_esc: (slices, h, w), the target of a fully sampled
file.
mask: (columns,) in a masked file. Beyond fastMRI's schema also (rows, columns), for sampling along
    both.
ismrmrd_header: XML. Attributes: acquisition, max, patient_id.
"""

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.formats.fastmri_fields import kspace_shape, read_header, read_mask, target_facts
from deqlab.data.formats.hdf5 import dataset, number_attribute, opened, read, stamp, text_attribute
from deqlab.data.formats.write_fastmri import root_sum_of_squares


@dataclass(frozen=True)
class Volume:
    """The facts of one file; its samples are read slice by slice on demand.

    shape: (slices, coils, rows, columns) of k-space, coils = 1 for a single-coil file (`multicoil`
        tells the two apart).
    recon_shape: (h, w) of the target, never larger than k-space.
    acquired: (first, one past the last) acquired column.
    mask: bool (columns,) or (rows, columns) of a masked file, None in a fully sampled one.
    target_name: data set that holds the target, None where the file has none.
    """

    path: Path
    shape: tuple[int, int, int, int]
    multicoil: bool
    recon_shape: tuple[int, int]
    acquired: tuple[int, int]
    contrast: str
    patient_id: str
    mask: np.ndarray | None
    target_name: str | None
    has_header: bool
    stored_maximum: float | None

    @property
    def slices(self) -> int:
        return self.shape[0]

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index` as stored, complex (coil, rows, columns).

        Raises InputError for a NaN or infinite sample.
        """
        with opened(self.path) as file:
            samples = read(dataset(file, "kspace", self.path), self.path, index)
        samples = samples.reshape(self.shape[1:])
        if not math.isfinite(peak(samples)):
            raise InputError(
                f"{self.path}: kspace slice {index} holds NaN or infinite samples; all must be"
                " finite"
            )
        return samples

    def target(self, index: int) -> np.ndarray | None:
        """Target magnitude of slice `index` in the file's units; None in a masked file.

        float64 (h, w), cut to `recon_shape`. A fully sampled file without a stored target gets the
        root-sum-of-squares of its coils.
        """
        if self.mask is not None:
            return None
        if self.target_name is None:
            # Scaled first, so that tiny or huge samples neither vanish nor overflow when squared.
            samples, unit = in_unit_range(self.kspace(index))
            return root_sum_of_squares(samples[None], self.recon_shape)[0].astype(np.float64) * unit
        with opened(self.path) as file:
            image = read(dataset(file, self.target_name, self.path), self.path, index).astype(
                np.float64
            )
        if not np.isfinite(image).all():
            raise InputError(
                f"{self.path}: {self.target_name} slice {index} holds NaN or infinite values; "
                "all must be finite"
            )
        rows, columns = (
            have // 2 - want // 2 for have, want in zip(image.shape, self.recon_shape, strict=True)
        )
        return image[rows : rows + self.recon_shape[0], columns : columns + self.recon_shape[1]]

    @property
    def maximum(self) -> float:
        """Largest target value of the volume in the file's units.

        For a masked file the attribute `max`, NaN without it.
        """
        if self.mask is not None:
            return math.nan if self.stored_maximum is None else self.stored_maximum
        return _maximum(self.path, *stamp(self.path))


def open_volume(path: str | Path) -> Volume:
    """The validated facts of the fastMRI file `path`, kept until the file changes.

    Reads no samples. Warns (DeqlabWarning) where the header is absent. Raises InputError, one line
    naming file and field, for a file that is missing, not HDF5 or truncated, and for any field of
    the wrong kind.
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


def peak(samples: np.ndarray) -> float:
    """Largest absolute real or imaginary part; NaN or infinite where any sample is."""
    parts = np.ascontiguousarray(samples).view(samples.real.dtype)
    return float(max(parts.max(), -parts.min())) if parts.size else 0.0


def in_unit_range(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """(samples / unit as complex64, unit): exact at any intensity scale.

    unit: the power of two that brings the largest real or imaginary part between 1/2 and 1.
    """
    largest = peak(samples)
    if largest == 0.0:
        return samples.astype(np.complex64, copy=False), 1.0
    unit = math.ldexp(1.0, math.frexp(largest)[1])
    if not 1e-30 < unit < 1e30:
        samples = samples.astype(np.complex128)
    return (samples * (1.0 / unit)).astype(np.complex64, copy=False), unit


@lru_cache(maxsize=4096)
def _maximum(path: Path, time: int, size: int) -> float:
    volume = _open_volume(path, time, size)
    return max(float(volume.target(index).max()) for index in range(volume.slices))


@lru_cache(maxsize=4096)
def _open_volume(path: Path, time: int, size: int) -> Volume:
    with opened(path) as file:
        shape, multicoil = kspace_shape(file, path)
        mask = read_mask(file, path, shape)
        target_name, target_shape = target_facts(file, path, shape, multicoil)
        header = read_header(file, path)
        rows, columns = shape[-2:]
        recon = header.recon if header else target_shape or (rows, columns)
        # Some fastMRI brain files show a matrix wider than they encoded: cut to what exists, as
        # there.
        sizes = (recon, (rows, columns), target_shape or recon)
        try:
            acquired = header.acquired(columns) if header else (0, columns)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return Volume(
            path=path,
            shape=shape,
            multicoil=multicoil,
            recon_shape=tuple(min(axis) for axis in zip(*sizes, strict=True)),
            acquired=acquired,
            contrast=text_attribute(file, "acquisition", path) or "unknown",
            patient_id=text_attribute(file, "patient_id", path) or "",
            mask=mask,
            target_name=None if mask is not None else target_name,
            has_header=header is not None,
            stored_maximum=number_attribute(file, "max", path),
        )
