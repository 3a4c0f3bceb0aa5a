"""Writing files in fastMRI's schema, whole or not at all.

A file appears under its name only when it is complete: it is written beside its destination and
renamed at the end, so an interrupted or failed write leaves the old file, or none.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import InputError
from deqlab.data.formats.ismrmrd_header import build_header
from deqlab.data.formats.samples import root_sum_of_squares


def hdf5_bytes(
    datasets: Mapping[str, object],
    attributes: Mapping[str, object],
    of_dataset: Mapping[str, Mapping[str, object]] | None = None,
) -> bytes:
    """The content of an HDF5 file with these data sets and attributes; equal arguments give equal
    bytes.

    of_dataset: attributes of single data sets, by the data set's name. The file is built in memory:
    when a write to the disk fails inside the HDF5 library its handle cannot be closed any more,
    while plain bytes fail cleanly.
    """
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        for name, value in datasets.items():
            data = file.create_dataset(name, data=value, track_times=False)
            data.attrs.update((of_dataset or {}).get(name, {}))
        file.attrs.update(attributes)
        file.flush()
        return file.id.get_file_image()


def write_volume(
    path: str | Path,
    kspace: np.ndarray,
    contrast: str,
    recon_shape: tuple[int, int],
    *,
    acquired: tuple[int, int] | None = None,
    mask: np.ndarray | None = None,
    reconstruction: np.ndarray | None = None,
    patient_id: str | None = None,
) -> Path:
    """`path`, now holding a volume in fastMRI's schema; the same arguments give the same bytes.

    kspace: complex (slices, coil, rows, columns), or (slices, rows, columns) for a single coil;
        rows are the readout.
    contrast: goes to the attribute `acquisition`, such as "AXT2".
    recon_shape: (h, w) of the target, at most (rows, columns).
    acquired: (first, one past the last) acquired column; the others are set to zero. All by
        default.
    mask: bool (columns,) or, beyond the schema, (rows, columns). With it the file is a *masked*
        one: samples outside are set to zero, `mask` is stored and no target, as in fastMRI's test
            files.
    reconstruction: the target (slices, h, w); computed from a fully sampled k-space by default.
    Raises InputError for a shape that does not fit and for a file that cannot be written.
    """
    kspace = np.asarray(kspace)
    if kspace.ndim not in (3, 4) or not np.iscomplexobj(kspace):
        raise InputError(
            f"{path}: kspace of shape {kspace.shape} and type {kspace.dtype}; "
            "complex (slices[, coil], rows, columns) needed"
        )
    rows, columns = kspace.shape[-2:]
    coils = kspace.shape[1] if kspace.ndim == 4 else 1
    height, width = recon_shape = int(recon_shape[0]), int(recon_shape[1])
    if not (1 <= height <= rows and 1 <= width <= columns):
        raise InputError(
            f"{path}: recon_shape {recon_shape} does not fit into kspace of {rows}x{columns}"
        )
    acquired = (0, columns) if acquired is None else acquired
    if not 0 <= acquired[0] < acquired[1] <= columns:
        raise InputError(f"{path}: acquired columns {acquired} are not a part of 0 to {columns}")

    keep = np.zeros(columns, bool)
    keep[slice(*acquired)] = True
    if mask is not None:
        mask = np.asarray(mask, bool)
        if mask.shape not in ((columns,), (rows, columns)):
            raise InputError(
                f"{path}: mask of shape {mask.shape}; ({columns},) or ({rows}, {columns}) needed"
            )
        keep = keep & mask
    if not keep.all():
        kspace = np.where(keep, kspace, 0)
    kspace = kspace.astype(np.complex64, copy=False)

    datasets: dict[str, object] = {
        "ismrmrd_header": build_header((rows, columns), recon_shape, acquired, coils),
        "kspace": kspace,
    }
    attributes: dict[str, object] = {"acquisition": contrast}
    if mask is not None:
        datasets["mask"] = mask
    else:
        if reconstruction is None:
            reconstruction = root_sum_of_squares(
                kspace if kspace.ndim == 4 else kspace[:, None], recon_shape
            )
        reconstruction = np.asarray(reconstruction, np.float32)
        if reconstruction.shape != (len(kspace), *recon_shape):
            wanted = (len(kspace), *recon_shape)
            raise InputError(
                f"{path}: reconstruction of shape {reconstruction.shape}; {wanted} needed"
            )
        datasets["reconstruction_rss" if kspace.ndim == 4 else "reconstruction_esc"] = (
            reconstruction
        )
        attributes["max"] = float(reconstruction.max())
        attributes["norm"] = float(np.linalg.norm(reconstruction.astype(np.float64)))
    # Without a name of its own a volume is known by its content, so that equal content gives equal
    # bytes.
    attributes["patient_id"] = patient_id or hashlib.sha256(kspace.tobytes()).hexdigest()

    path = Path(path)
    with atomic_path(path) as temporary:
        write_durably(temporary, hdf5_bytes(datasets, attributes))
    return path
