"""Fully sampled slices in memory, and cases: a slice under one mask."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deqlab.data import Batch, collate, open_volume
from deqlab.data.dataset import scan_of
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.prepare.options import Preparation
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.coils.coil_maps import CoilMapMethod
from deqlab.signal.sampling.masks import RandomMask, default_center_fraction
from deqlab.signal.transforms.crop import crop_readout


@dataclass(frozen=True)
class Effort:
    """How much is asked. masks: of each kind, None for what each question takes by itself.
    volumes, slices: of the built-in test heads, None for all. repeats: of what is timed.
    """

    masks: int | None = None
    accelerations: tuple[float, ...] = (4.0, 8.0)
    volumes: int | None = None
    slices: int | None = None
    repeats: int = 5


@dataclass(frozen=True)
class Row:
    """What was found in one case. group: the cases over which means are taken."""

    group: str
    name: str
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Slice(GridVolume):
    """One fully sampled slice, without readout oversampling. samples: complex64 (coil, y, x)."""

    samples: np.ndarray

    @staticmethod
    def of(path: Path, samples: Tensor) -> "Slice":
        """The slice with these samples, complex (coil, y, x). path: seeds its masks."""
        coils, rows, columns = samples.shape
        return Slice(
            path=path,
            shape=(1, coils, rows, columns),
            recon_shape=(rows, columns),
            samples=samples.to(torch.complex64).contiguous().numpy(),
        )

    def kspace(self, index: int) -> np.ndarray:
        """All there is."""
        return self.samples

    def changed(self, change: Callable[[Tensor], Tensor]) -> "Slice":
        """The slice with its samples changed."""
        return Slice.of(self.path, change(torch.from_numpy(self.samples)))


def fully_sampled(folder: Path) -> Iterator[Slice]:
    """The middle slice of every fully sampled file in fastMRI's schema."""
    for path in sorted(folder.glob("*.h5")):
        volume = open_volume(path)
        if isinstance(volume, GridVolume) and volume.sampled_by is None:
            samples = torch.from_numpy(volume.kspace(volume.slices // 2))
            rows = volume.recon_shape[0]
            whole = samples.shape[-2] == rows
            yield Slice.of(path, samples if whole else crop_readout(samples, rows))


@dataclass(frozen=True)
class Case:
    """A slice under one mask of random lines. lines: calibration lines, None for the usual share.
    noise: added, as a share of the fully sampled image's maximum. coil_maps: the
    shell's default unless told otherwise.
    """

    slice: Slice
    acceleration: float
    lines: int | None = None
    seed: int = 0
    noise: float = 0.0
    coil_maps: CoilMapMethod = Auto()

    @cached_property
    def mask(self) -> Tensor:
        """bool (x,)."""
        return self._scan.sampling.mask_of_volume(self.seed)

    @cached_property
    def batch(self) -> Batch:
        """The slice under the mask, as a batch of one."""
        rng = np.random.default_rng([self._scan.sampling.seed(self.seed), 1, 0])
        return collate([self._scan.sample(0, self.mask, rng)])

    @property
    def key(self) -> str:
        """Equal for equal measurements and references, whatever the slice is called."""
        content = hashlib.sha256(self.slice.samples.tobytes())
        content.update(self.mask.numpy().tobytes())
        return f"{content.hexdigest()} {self.slice.shape} {self.noise} {self.coil_maps} {self._own}"

    @property
    def name(self) -> str:
        """In tables."""
        lines = "" if self.lines is None else f", {self.lines} lines"
        return f"{self.slice.path.stem} {self.acceleration:g}x{lines}, mask {self.seed}"

    def of(self, changed: Slice) -> "Case":
        """The same conditions for another slice."""
        return replace(self, slice=changed)

    @property
    def _own(self) -> int | None:
        """The seed of the noise, where there is any."""
        return self._scan.sampling.seed(self.seed) if self.noise else None

    @cached_property
    def _rule(self) -> RandomMask:
        usual = default_center_fraction(self.acceleration)
        share = usual if self.lines is None else self.lines / self.slice.shape[-1]
        return RandomMask(self.acceleration, share)

    @cached_property
    def _scan(self):
        return scan_of(self.slice, (self._rule,), Preparation(self.coil_maps, self.noise), [0])
