"""What a file format must offer, and what it gives in return for it: a volume.

A new format is one file with two frozen dataclasses, a volume that reads one slice at a time and
a format that recognises and opens it, and one line in `registry.py`. Nothing else has to know it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.formats.ismrmrd_header import UNKNOWN, Header, Voxel
from deqlab.data.formats.samples import in_unit_range, root_sum_of_squares

NOTHING: frozenset[str] = frozenset()
EVERYTHING = frozenset({"target", "reference"})


class Format(Protocol):
    """A kind of file, as one frozen object.

    suffixes: of the files that are taken from a folder. `recognises` decides by content alone and
    reads little; it may raise InputError for a file that is damaged. `open` checks every fact
    before it reads samples, and raises InputError, one line naming file and field.
    What a file cannot say of itself are options of its format: fields of a class made by
    `deqlab.core.options.options`, which every command that reads files takes as flags.
    """

    suffixes: ClassVar[tuple[str, ...]]

    def recognises(self, path: Path) -> bool: ...

    def open(self, path: str | Path) -> "Volume": ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Volume(ABC):
    """The facts of one file; its samples are read slice by slice on demand.

    A format subclasses `GridVolume` or `OffGridVolume`.
    shape: of k-space, (slices, coils, ...). recon_shape: (h, w) of the image to show.
    voxel: sides along (slice, row, column) in mm, each None where the file does not say it.
    notes: what the reader assumed, did or left out, a sentence each. emulated: how k-space was made
    up where the file holds images alone; empty for measured k-space. noise: covariance of the
    coils' noise as noise scans measured it, complex (coil, coil), None where the file has none.
    """

    path: Path
    shape: tuple[int, ...]
    recon_shape: tuple[int, int]
    contrast: str = "unknown"
    patient_id: str = ""
    voxel: Voxel = UNKNOWN
    notes: tuple[str, ...] = ()
    emulated: str = ""
    noise: np.ndarray | None = None

    @property
    def slices(self) -> int:
        return self.shape[0]

    @property
    @abstractmethod
    def sampled_by(self) -> str | None:
        """What in the file says which samples were measured; None where all of a grid were."""

    @property
    @abstractmethod
    def knows(self) -> frozenset[str]:
        """Which of "target" and "reference", the image itself, can be had from the file."""

    @abstractmethod
    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index` as stored, complex (coil, ...).

        Raises InputError for a NaN or infinite sample.
        """

    @abstractmethod
    def target(self, index: int) -> np.ndarray | None:
        """Magnitude of slice `index` in the file's units, float64 `recon_shape`; None where it is
        not known.
        """

    @cached_property
    def maximum(self) -> float:
        """Largest target value of the whole volume in the file's units; NaN where it is not known.

        Read when first asked for, from the target of every slice.
        """
        if "target" not in self.knows:
            return math.nan
        return max(self.peak(index) for index in range(self.slices))

    def peak(self, index: int) -> float:
        """Largest target value of slice `index` in the file's units; NaN where it is not known."""
        target = self.target(index)
        return math.nan if target is None else float(target.max())

    def require(self, part: str, purpose: str) -> None:
        """Raises InputError where the file does not know its "target" or "reference"."""
        if part not in self.knows:
            raise InputError(self._unknown(part, purpose))

    @abstractmethod
    def _unknown(self, part: str, purpose: str) -> str:
        """Why `purpose` is refused."""


@dataclass(frozen=True, kw_only=True)
class GridVolume(Volume):
    """A volume on the Cartesian grid; a format writes `kspace(index)` and nothing else.

    shape: (slices, coils, rows, columns), rows the readout, columns the phase encoding.
    recon_shape: (h, w) of the target, never larger than (rows, columns).
    mask: bool (columns,) or (rows, columns) of a masked file, None in a fully sampled one.
    acquired: (first, one past the last) acquired column; None where all are.
    multicoil: whether the file has a coil axis. header: what it says of itself, None where it says
        nothing.
    """

    shape: tuple[int, int, int, int]
    mask: np.ndarray | None = None
    acquired: tuple[int, int] | None = None
    multicoil: bool = True
    header: Header | None = None

    @property
    def sampled_by(self) -> str | None:
        return None if self.mask is None else "mask"

    @property
    def knows(self) -> frozenset[str]:
        return EVERYTHING if self.mask is None else NOTHING

    def target(self, index: int) -> np.ndarray | None:
        """As `Volume.target`: the root-sum-of-squares of the coil images of a fully sampled
        file.
        """
        if self.mask is not None:
            return None
        # Scaled first, so that tiny or huge samples neither vanish nor overflow when squared.
        samples, unit = in_unit_range(self.kspace(index))
        (magnitude,) = root_sum_of_squares(samples[None], self.recon_shape)
        scaled: np.ndarray = magnitude.astype(np.float64) * unit
        return scaled

    def _unknown(self, part: str, purpose: str) -> str:
        return f"{self.path}: is undersampled; {purpose} needs fully sampled files"


@dataclass(frozen=True, kw_only=True)
class OffGridVolume(Volume):
    """A volume of samples off the grid; a format writes `kspace(index)` and `trajectory(index)`,
    and what else its files hold.

    shape: (slices, coils, samples). recon_shape: (rows, columns) of the image.
    """

    shape: tuple[int, int, int]

    @property
    def sampled_by(self) -> str | None:
        return "trajectory"

    @property
    def knows(self) -> frozenset[str]:
        return NOTHING

    @property
    def off_resonance(self) -> bool:
        """Whether the file has field maps."""
        return False

    @abstractmethod
    def trajectory(self, index: int) -> Tensor:
        """Where slice `index` was sampled: float64 (samples, 2), columns (ky, kx) in cycles per
        *pixel*, within +-0.5.
        """

    def density(self, index: int) -> Tensor | None:
        """The file's density weights for slice `index`, float64 (samples,), in any unit; None where
        it has none.
        """
        return None

    def field_map(self, index: int) -> tuple[Tensor, Tensor] | None:
        """(off-resonance in Hz, float64 (rows, columns), readout times in seconds, float64
        (samples,)); None where the file has none.
        """
        return None

    def reference(self, index: int) -> np.ndarray | None:
        """The coil images of slice `index`, complex (coil, rows, columns), in the unit of k-space;
        None where they are not known.
        """
        return None

    def target(self, index: int) -> np.ndarray | None:
        """As `Volume.target`: the root-sum-of-squares of `reference`."""
        images = self.reference(index)
        return None if images is None else np.linalg.norm(images.astype(np.complex128), axis=0)

    def _unknown(self, part: str, purpose: str) -> str:
        names = "`target` or `reference`" if part == "target" else "`reference`"
        return (
            f"{self.path}: its true image is not known; {purpose} needs a data set {names} beside"
            " the trajectory"
        )
