"""Files of any format as a sequence of slices under study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from deqlab.core.errors import InputError
from deqlab.data.examine.examined import open_volume
from deqlab.data.formats.protocol import GridVolume, OffGridVolume, Volume
from deqlab.data.formats.registry import NOTHING, open_stated, suffixes
from deqlab.data.prepare.mixed_coils import with_mixed_coils
from deqlab.data.prepare.off_grid import OffGridSlices
from deqlab.data.prepare.on_grid import OnGridSlices, acquired_only
from deqlab.data.prepare.options import Preparation
from deqlab.data.prepare.stored_maps import CoilMaps
from deqlab.data.sample import Sample
from deqlab.data.sampling import Sampling
from deqlab.signal.coils.air_noise import NoWhitening, Whitener
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.sampling.masks import MaskRule

ANATOMY = range(11, 28)  # slices 11 to 27 of a fastMRI volume: those rich in anatomy

Slices = str | tuple[int, int] | Sequence[int] | None


class SliceDataset(Dataset):
    """The chosen slices of k-space files as Samples, in the order of file and slice.

    paths: a folder (its files with the suffix of a known format), a file, or several of either.
    mask: a rule that undersamples fully sampled files; several rules share the draws evenly (mixed
        accelerations); None leaves them fully sampled. A masked file keeps its own mask and goes
        with `mask=None` only; a file off the grid keeps its trajectory.
    slices: None for 11 to 27 of a volume that has them, and all of a shorter one; "all"; (start,
        stop); or a list of indices.
    seed: changes every mask and noise draw of `dataset[i]`; with 0 the mask depends on the file's
        name alone.
    coil_maps, noise, max_pixels, whiten, coils: as in `Preparation`. Coils are mixed by what the
        mask of `dataset[i]` measures, whatever mask is drawn.
    told: options of the files' format, such as the names of an array's axes.

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
        whiten: Whitener = NoWhitening(),
        coils: int | None = None,
        told: Mapping[str, Any] = NOTHING,
    ):
        options = Preparation(coil_maps, noise, max_pixels, whiten, coils)
        rules = () if mask is None else tuple(mask) if isinstance(mask, Sequence) else (mask,)
        self.seed = seed
        self.scans: list[OnGridSlices | OffGridSlices] = []
        self.items: list[tuple[OnGridSlices | OffGridSlices, int]] = []
        for path in find_files(paths):
            chosen = choose_slices(open_stated(path, told), slices)
            volume = open_volume(path, chosen, told)
            scan = scan_of(volume, rules, options, chosen, seed)
            self.scans.append(scan)
            self.items += [(scan, index) for index in chosen]

    @property
    def volumes(self) -> list[Volume]:
        """The files."""
        return [scan.volume for scan in self.scans]

    def require(self, part: str, purpose: str) -> None:
        """Raises InputError naming the first file that does not know its "target" or "reference",
        which `purpose` needs.
        """
        for volume in self.volumes:
            volume.require(part, purpose)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        scan, position = self.items[index]
        # The mask is the volume's; noise and strip have a stream of their own for each slice.
        rng = np.random.default_rng([scan.sampling.seed(self.seed), 1, position])
        return scan.sample(position, scan.sampling.mask_of_volume(self.seed), rng)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Slice `index` under a mask, noise and strip drawn from `rng` and from nothing else."""
        scan, position = self.items[index]
        return scan.sample(position, scan.sampling.draw(rng), rng)

    def shape(self, index: int) -> tuple:
        """Sizes of sample `index`, (coils, y, x, h, w) or off the grid (coils, samples, h, w),
        without reading it.

        Slices of one shape can share a batch.
        """
        scan, _ = self.items[index]
        return scan.shape()


def scan_of(
    volume: Volume,
    rules: tuple[MaskRule, ...],
    options: Preparation,
    slices: Sequence[int],
    seed: int = 0,
) -> OnGridSlices | OffGridSlices:
    """What turns the slices of a volume into Samples, for the kind of volume that it is; `rules`
    undersample one that is fully sampled. slices, seed: what coils are mixed by.
    """
    if not isinstance(options.whiten, NoWhitening) or options.coils is not None:
        mask = Sampling(volume, rules).mask_of_volume(seed)
        if mask is not None and isinstance(volume, GridVolume):
            mask = acquired_only(mask, volume)
        volume = with_mixed_coils(volume, mask, options, slices)
    if isinstance(volume, GridVolume):
        return OnGridSlices(Sampling(volume, rules), options)
    if isinstance(volume, OffGridVolume):
        return OffGridSlices(Sampling(volume, rules), options)
    raise InputError(
        f"{volume.path}: {type(volume).__name__} given, a GridVolume or an OffGridVolume needed"
    )


def find_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that `paths` names, those of a folder sorted by name.

    Raises InputError for a folder without files of a known format.
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
            if child.suffix in suffixes() and not child.name.startswith(".")
        )
        if not inside:
            raise InputError(
                f"{path}: holds no {' or '.join('*' + suffix for suffix in suffixes())} files"
            )
        found += inside
    if not found:
        raise InputError("paths: no file given; a folder of k-space files, or their names, needed")
    return found


def choose_slices(volume: Volume, slices: Slices) -> list[int]:
    """Indices of the slices that `slices` chooses from `volume`, as SliceDataset documents it."""
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
