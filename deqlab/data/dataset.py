"""A folder of fastMRI files as a sequence of slices under study."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deqlab.core.errors import InputError
from deqlab.data.formats.fastmri import Volume, open_volume
from deqlab.data.prepare.on_grid import image_shape, prepare
from deqlab.data.prepare.stored_maps import CoilMaps, StoredMaps
from deqlab.data.sample import Sample
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.sampling.masks import seed_from_name

__all__ = ["FastMRIDataset", "MaskRule", "Volume", "open_volume"]

ANATOMY = range(11, 28)  # slices 11 to 27 of a fastMRI volume: those rich in anatomy
SUFFIXES = (".h5", ".hdf5")

Slices = str | tuple[int, int] | Sequence[int] | None


class MaskRule(Protocol):
    """What draws masks: RandomMask, EquispacedMask, or anything of the kind."""

    def sample(self, width: int, seed: int) -> Tensor: ...


class FastMRIDataset(Dataset):
    """The chosen slices of fastMRI files as Samples, in the order of file and slice.

    paths: a folder (its *.h5 and *.hdf5 files), a file, or several of either.
    mask: a rule that undersamples fully sampled files; several rules share the draws evenly (mixed
        accelerations); None leaves them fully sampled. A masked file keeps its own mask and goes
        with `mask=None` only.
    slices: None for 11 to 27 of a volume that has them, and all of a shorter one; "all"; (start,
        stop); or a list of indices.
    seed: changes every mask and noise draw of `dataset[i]`; with 0 the mask depends on the file's
        name alone.
    coil_maps: how they are estimated from the calibration lines, or the file that has them, see
        `prepare`.
    noise: standard deviation of complex noise added to k-space as a share of the fully sampled
        maximum, or (low, high) to draw it from.
    max_pixels: keep a random strip of at most so many pixels (whole rows, at least one); exact, see
        `deqlab.data.prepare.on_grid`.

    `dataset[i]` is for evaluation: the same at every access, and one mask for all slices of a
    volume. `dataset.sample(i, rng)` is for training: mask, noise and strip are drawn from `rng`
    alone, so that a restored generator repeats them.
    Raises InputError for a file or a choice that cannot be used.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        mask: MaskRule | Sequence[MaskRule] | None = None,
        slices: Slices = None,
        seed: int = 0,
        coil_maps: CoilMaps = LowResolution(),
        noise: float | tuple[float, float] = 0.0,
        max_pixels: int | None = None,
    ):
        if not isinstance(coil_maps, StoredMaps) and not hasattr(coil_maps, "estimate"):
            raise InputError(
                f"coil_maps: {coil_maps!r} given; LowResolution(), ESPIRiT(), Walsh() or"
                " StoredMaps(path) needed"
            )
        low, high = noise if isinstance(noise, tuple) else (noise, noise)
        if not 0 <= low <= high < float("inf"):
            raise InputError(f"noise: {noise} given; 0 or more, or (low, high), needed")
        if max_pixels is not None and max_pixels < 1:
            raise InputError(f"max_pixels: {max_pixels} given; 1 or more needed")
        self.rules = () if mask is None else tuple(mask) if isinstance(mask, Sequence) else (mask,)
        self.seed, self.noise, self.max_pixels, self.coil_maps = (
            seed,
            (low, high),
            max_pixels,
            coil_maps,
        )
        self.volumes = [open_volume(path) for path in find_files(paths)]
        for volume in self.volumes:
            if volume.mask is not None and self.rules:
                raise InputError(
                    f"{volume.path}: is undersampled already (it has a `mask`); use mask=None for"
                    " such files"
                )
        self.items = [
            (volume, index) for volume in self.volumes for index in choose_slices(volume, slices)
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        volume, position = self.items[index]
        name = seed_from_name(volume.path.name) + self.seed
        # One stream for the volume chooses among the rules, another per slice draws noise and
        # strip.
        rule = int(np.random.default_rng([name, 0]).integers(max(len(self.rules), 1)))
        return self._prepare(
            volume,
            position,
            self._mask(volume, rule, name),
            np.random.default_rng([name, 1, position]),
        )

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Slice `index` under a mask, noise and strip drawn from `rng` and from nothing else."""
        volume, position = self.items[index]
        rule = int(rng.integers(max(len(self.rules), 1)))
        return self._prepare(
            volume, position, self._mask(volume, rule, int(rng.integers(2**32))), rng
        )

    def shape(self, index: int) -> tuple[int, int, int, int, int]:
        """(coils, y, x, h, w) of sample `index`, without reading it.

        Slices of one shape can share a batch.
        """
        volume, _ = self.items[index]
        (rows, columns), (height, width) = image_shape(volume), volume.recon_shape
        strip = self._strip_rows(rows, columns)
        return volume.shape[1], strip, columns, height if strip == rows else strip, width

    def _mask(self, volume: Volume, rule: int, seed: int) -> Tensor:
        if volume.mask is not None:
            return torch.from_numpy(volume.mask.copy())
        width = volume.shape[-1]
        return (
            self.rules[rule].sample(width, seed)
            if self.rules
            else torch.ones(width, dtype=torch.bool)
        )

    def _prepare(
        self, volume: Volume, position: int, mask: Tensor, rng: np.random.Generator
    ) -> Sample:
        low, high = self.noise
        noise = low if low == high else float(rng.uniform(low, high))
        rows, columns = image_shape(volume)
        strip, part = self._strip_rows(rows, columns), slice(None)
        if strip < rows:
            start = int(rng.integers(rows - strip + 1))
            part = slice(start, start + strip)
        return prepare(
            volume, position, mask, noise=noise, rows=part, rng=rng, coil_maps=self.coil_maps
        )

    def _strip_rows(self, rows: int, columns: int) -> int:
        return rows if self.max_pixels is None else min(rows, max(1, self.max_pixels // columns))


def find_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that `paths` names, those of a folder sorted by name.

    Raises InputError for a folder without fastMRI files.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        path = Path(path)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            child
            for child in path.iterdir()
            if child.suffix in SUFFIXES and not child.name.startswith(".")
        )
        if not inside:
            raise InputError(
                f"{path}: holds no {' or '.join('*' + suffix for suffix in SUFFIXES)} files"
            )
        found += inside
    if not found:
        raise InputError("paths: no file given; a folder of fastMRI files, or their names, needed")
    return found


def choose_slices(volume: Volume, slices: Slices) -> list[int]:
    """Indices of the slices that `slices` chooses from `volume`, as FastMRIDataset documents it."""
    count = volume.slices
    if slices is None:
        return list(ANATOMY) if count >= ANATOMY.stop else list(range(count))
    if isinstance(slices, str):
        if slices != "all":
            raise InputError(
                f"slices: {slices!r} is not known; 'all', (start, stop) or a list of indices needed"
            )
        return list(range(count))
    if isinstance(slices, tuple):
        if len(slices) != 2 or not 0 <= slices[0] < slices[1] <= count:
            raise InputError(
                f"{volume.path}: slices {slices} are not (start, stop) within its {count} slices"
            )
        return list(range(*slices))
    wrong = [index for index in slices if not 0 <= index < count]
    if wrong:
        raise InputError(f"{volume.path}: has no slice {wrong[0]}; 0 to {count - 1} exist")
    return list(slices)
