"""Writing files of k-space off the grid, whole or not at all."""

from pathlib import Path

import numpy as np

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import InputError
from deqlab.data.formats.trajectory_layout import TrajectoryLayout
from deqlab.data.formats.trajectory_units import NAME, PIXEL
from deqlab.data.formats.write_fastmri import hdf5_bytes


def write_noncartesian(
    path: str | Path,
    kspace: np.ndarray,
    trajectory: np.ndarray,
    matrix: tuple[int, int],
    density: np.ndarray | None = None,
    field_of_view: tuple[float, float] | None = None,
    readout_times: np.ndarray | None = None,
    field_map: np.ndarray | None = None,
    target: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    contrast: str = "unknown",
    patient_id: str = "",
    unit: str = PIXEL,
) -> Path:
    """`path`, now holding a volume in the layout of `trajectory_layout`; the same arguments give
    the same bytes.

    kspace: complex (slices, coils, samples) or (slices, samples). trajectory: real (samples, 2) or
    (slices, samples, 2) in `unit`, cycles per *pixel* as everywhere in deqlab, or another of
    `trajectory_units`; the file holds it as it is given, and names the unit. The other arguments:
    as the file holds them. The file is read back before it
    takes its name: InputError for whatever the reader would refuse, and for a file that cannot be
    written.
    """
    path, sides = Path(path), tuple(int(side) for side in matrix)
    kspace = np.asarray(kspace)
    trajectory = np.asarray(trajectory, dtype=np.float64)
    if (
        not np.iscomplexobj(kspace)
        or trajectory.ndim not in (2, 3)
        or trajectory.shape[-1] != 2
        or len(sides) != 2
    ):
        raise InputError(
            f"{path}: kspace of type {kspace.dtype}, trajectory of shape {trajectory.shape}, matrix"
            f" {sides}; complex kspace, trajectory (..., samples, 2) and (rows, columns) needed"
        )
    datasets: dict[str, object] = {
        "kspace": kspace.astype(np.complex64, copy=False),
        "trajectory": trajectory,
    }
    optional = {
        "density": density,
        "readout_times": readout_times,
        "field_map": field_map,
        "target": target,
        "reference": reference,
    }
    datasets |= {name: np.asarray(value) for name, value in optional.items() if value is not None}
    attributes: dict[str, object] = {
        "matrix": matrix,
        NAME: unit,
        "acquisition": contrast,
        "patient_id": patient_id,
    }
    if field_of_view is not None:
        attributes["field_of_view"] = tuple(map(float, field_of_view))
    with atomic_path(path) as temporary:
        write_durably(temporary, hdf5_bytes(datasets, attributes))
        try:
            volume = TrajectoryLayout().open(temporary)
            for index in range(volume.slices):
                volume.kspace(index)
                volume.target(index)
                volume.reference(index)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(path))) from None
    return path
