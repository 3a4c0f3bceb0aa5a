"""Where coil maps come from: a method by its name, or a file of maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest
from deqlab.data.formats.hdf5 import dataset, opened, read
from deqlab.signal.coils.coil_maps import CoilMapMethod, rss
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.registry import COIL_MAPS
from deqlab.signal.transforms.crop import center_window

NAME = "coil_maps"


@dataclass(frozen=True)
class StoredMaps:
    """Coil maps of a file: HDF5 with `coil_maps`, complex (slices, coils, rows, columns), or
    (coils, rows, columns) for all slices.

    Rows and columns are those of the image, or rows those of k-space, of which the centre is taken
    as for the image. At every pixel the maps are brought to sum |c|^2 = 1, so that the norm of A is
    at most 1 and the image has the intensity of a root-sum-of-squares; where they are zero they
    stay zero.
    """

    path: Path

    @property
    def told(self) -> str:
        """Where the maps come from, in words."""
        return f"those of {self.path.name}"

    def read(self, index: int, slices: int, shape: tuple[int, ...]) -> Tensor:
        """The maps of slice `index` of `slices`, complex64 `shape` = (coil, y, x). InputError, one
        line, where the file has no such maps.
        """
        with opened(self.path) as file:
            if NAME not in file:
                raise InputError(
                    f"{self.path}: has no data set {NAME!r}; complex (slices, coils, rows, columns)"
                    " needed"
                )
            stored = dataset(file, NAME, self.path)
            if stored.dtype.kind != "c" or stored.ndim not in (3, 4):
                raise InputError(
                    f"{self.path}: {NAME} is {stored.dtype} of shape {stored.shape}; complex"
                    " (slices, coils, rows, columns) needed"
                )
            if stored.ndim == 4 and len(stored) != slices:
                raise InputError(
                    f"{self.path}: {NAME} has {len(stored)} slices, kspace has {slices}"
                )
            coils, rows, columns = stored.shape[-3:]
            if (coils, columns) != (shape[0], shape[2]) or rows < shape[1]:
                raise InputError(
                    f"{self.path}: {NAME} are for {coils} coils of {rows}x{columns}, {shape[0]}"
                    f" coils of {shape[1]}x{shape[2]} needed"
                )
            found = read(stored, self.path, index if stored.ndim == 4 else ())
        if not np.isfinite(found).all():
            raise InputError(
                f"{self.path}: {NAME} slice {index} holds NaN or infinite values; all must be"
                " finite"
            )
        maps = torch.from_numpy(found[:, center_window(rows, shape[1])].astype(np.complex128))
        return of_unit_size(maps).to(torch.complex64)


def of_unit_size(maps: Tensor) -> Tensor:
    """Maps, complex (coil, y, x), over their root-sum-of-squares; where that is zero they stay
    zero.
    """
    size = rss(maps)
    return maps / torch.where(size > 0, size, 1)


CoilMaps = CoilMapMethod | StoredMaps


def method_told(method: CoilMapMethod) -> str:
    """An estimator in words: its name, and the side of its patches where it has such."""
    if not isinstance(method, tuple(COIL_MAPS[name] for name in COIL_MAPS)):
        return type(method).__name__
    name = COIL_MAPS.name_of(method)
    return f"{name} (kernel {method.kernel})" if isinstance(method, ESPIRiT) else name


def coil_maps_by_name(text: str) -> CoilMaps:
    """What `text` names: a name of `COIL_MAPS`, or the path of a file of maps.

    InputError for anything else.
    """
    if text in COIL_MAPS:
        return COIL_MAPS.make(text)
    path = Path(text)
    if not path.exists():
        raise InputError(
            f"coil maps: {text!r} is no file and no method{nearest(text, COIL_MAPS)}; valid:"
            f" {', '.join(COIL_MAPS)}, or an HDF5 file with `{NAME}`"
        )
    return StoredMaps(path)
