"""A volume of any format as a file in one of deqlab's own two layouts, one slice at a time.

On the grid that is fastMRI's schema, off the grid the layout of `trajectory_layout`. No more than a
slice is held. Nothing of a patient is carried: the file's `patient_id` is a digest of its samples.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.data.formats.ismrmrd_header import build_header
from deqlab.data.formats.protocol import GridVolume, OffGridVolume, Volume
from deqlab.data.formats.samples import peak
from deqlab.data.formats.trajectory_units import NAME, PIXEL


def write_streamed(path: str | Path, volume: Volume, slices: Sequence[int] = ()) -> list[str]:
    """`path` holds the slices of `volume`, all where none are named; what could not be carried, a
    sentence each.

    The file appears when it is complete. Raises InputError for a slice that cannot be read or held
    in single precision, and for a file that cannot be written.
    """
    path, chosen = Path(path), list(slices) or list(range(volume.slices))
    if isinstance(volume, GridVolume):
        write = _on_grid
    elif isinstance(volume, OffGridVolume):
        write = _off_grid  # type: ignore[assignment]
    else:
        raise InputError(f"{volume.path}: {type(volume).__name__}, which no file of deqlab's holds")
    with atomic_path(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                left_out = write(file, volume, chosen)  # type: ignore[arg-type]
                file.attrs["acquisition"] = volume.contrast
                if volume.emulated:
                    file.attrs["emulated"] = volume.emulated
        except RuntimeError as error:  # HDF5's own, such as of a full disk
            raise OSError(" ".join(str(error).split())[:100]) from None
    return left_out


def _on_grid(file: h5py.File, volume: GridVolume, chosen: list[int]) -> list[str]:
    """fastMRI's schema, with a target where the volume is fully sampled."""
    left_out, shape = [], (len(chosen), *volume.shape[1:])
    rows, columns = shape[-2:]
    acquired = volume.acquired or (0, columns)
    header = build_header((rows, columns), volume.recon_shape, acquired, shape[1], volume.voxel)
    file.create_dataset("ismrmrd_header", data=header)
    stored = shape if volume.multicoil else (shape[0], *shape[2:])
    kspace = _create(file, "kspace", stored, np.complex64)
    target = None
    if volume.mask is not None:
        file.create_dataset("mask", data=volume.mask)
    else:
        name = "reconstruction_rss" if volume.multicoil else "reconstruction_esc"
        target = _create(file, name, (len(chosen), *volume.recon_shape), np.float32)
    digest, largest, energy = hashlib.sha256(), 0.0, 0.0
    for at, index in enumerate(chosen):
        samples = _single(volume.kspace(index), volume, index)
        digest.update(samples.tobytes())
        kspace[at] = samples if volume.multicoil else samples[0]
        if target is not None:
            image = np.asarray(volume.target(index), np.float32)
            target[at] = image
            largest = max(largest, float(image.max()))
            energy += float(np.square(image, dtype=np.float64).sum())
    if target is not None:
        file.attrs["max"], file.attrs["norm"] = largest, math.sqrt(energy)
    file.attrs["patient_id"] = digest.hexdigest()
    if None in volume.voxel and volume.voxel != (None, None, None):
        left_out.append("sides of voxels of which only some are known")
    return left_out


def _off_grid(file: h5py.File, volume: OffGridVolume, chosen: list[int]) -> list[str]:
    """The layout of samples off the grid."""
    shape, matrix = (len(chosen), *volume.shape[1:]), volume.recon_shape
    kspace = _create(file, "kspace", shape, np.complex64)
    trajectories = _create(file, "trajectory", (len(chosen), shape[-1], 2), np.float64)
    digest = hashlib.sha256()
    for at, index in enumerate(chosen):
        samples = _single(volume.kspace(index), volume, index)
        digest.update(samples.tobytes())
        kspace[at] = samples
        trajectories[at] = volume.trajectory(index).numpy()
        density, truth = volume.density(index), volume.target(index)
        images, field = volume.reference(index), volume.field_map(index)
        optional = {
            "density": None if density is None else density.numpy(),
            "target": truth,
            "reference": images,
            "field_map": None if field is None else field[0].numpy(),
        }
        for name, value in optional.items():
            if value is not None:
                if name not in file:
                    _create(file, name, (len(chosen), *value.shape), value.dtype)
                file[name][at] = value
        if field is not None and at == 0:
            file["readout_times"] = field[1].numpy()
    sides = volume.voxel[1:]
    file.attrs["matrix"], file.attrs[NAME] = matrix, PIXEL
    file.attrs["patient_id"] = digest.hexdigest()
    if sides[0] is not None and sides[1] is not None:
        file.attrs["field_of_view"] = (sides[0] * matrix[0], sides[1] * matrix[1])
    return [] if volume.voxel[0] is None else ["the thickness of slices"]


def _create(file: h5py.File, name: str, shape: tuple[int, ...], kind: object) -> h5py.Dataset:
    # Whole slices, so that one can be read or written without another.
    return file.create_dataset(name, shape, kind, track_times=False)


def _single(samples: np.ndarray, volume: Volume, index: int) -> np.ndarray:
    """The samples in single precision; InputError where they do not fit into it."""
    single = samples.astype(np.complex64, copy=False)
    if not math.isfinite(peak(single)):
        raise InputError(
            f"{volume.path}: slice {index} has the peak {peak(samples):.3g}, which float32 cannot"
            " hold; rescale the k-space"
        )
    return single
