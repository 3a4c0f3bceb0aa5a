"""How a volume is, or gets, sampled: by its own mask or trajectory, or by a rule that undersamples
what was fully sampled. "Masked or full?" is decided here and nowhere else.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.formats.protocol import GridVolume, Volume
from deqlab.signal.sampling.masks import MaskRule, seed_from_name

# Share of positions within the acquired part that may be zero in every coil of a fully sampled
# file.
ZEROS_ALLOWED = 0.05

VolumeT = TypeVar("VolumeT", bound=Volume, covariant=True)


@dataclass(frozen=True)
class Seeded:
    """The masks of `rule` under one seed, whatever the volume's name."""

    rule: MaskRule
    seed: int

    def sample(self, width: int, seed: int) -> Tensor:
        return self.rule.sample(width, self.seed)


@dataclass(frozen=True)
class Sampling(Generic[VolumeT]):
    """How the slices of `volume` are sampled.

    rules: what undersamples a fully sampled volume, sharing the draws evenly; with none it stays
    fully sampled. A file off the grid keeps its trajectory, whatever the rules. Raises InputError
    for rules and a file that has a mask of its own.
    """

    volume: VolumeT
    rules: tuple[MaskRule, ...] = ()

    def __post_init__(self) -> None:
        if self.volume.sampled_by == "mask" and self.rules:
            raise InputError(
                f"{self.volume.path}: is undersampled already (it has a `mask`); leave"
                " acceleration, centre fraction, mask and seed out"
            )

    @property
    def own_acceleration(self) -> float | None:
        """By how much the file as it is undersamples: positions over samples, pixels over samples
        off the grid; None where the rules decide.
        """
        if not isinstance(self.volume, GridVolume):
            return math.prod(self.volume.recon_shape) / self.volume.shape[-1]
        if self.volume.mask is not None:
            return float(1 / self.volume.mask.mean())
        return None if self.rules else 1.0

    def require_undersampling(self) -> None:
        """Raises InputError for a fully sampled volume that no rule undersamples."""
        if self.volume.sampled_by is None and not self.rules:
            raise InputError(
                f"{self.volume.path}: is fully sampled (it has no `mask`); an acceleration is"
                " needed to undersample it"
            )

    def refuse_holes(self, index: int) -> None:
        """Raises InputError for holes in the k-space of a slice that calls itself fully sampled.

        Someone undersampled it and did not say so: its target would be wrong.
        """
        volume = self.volume
        if volume.sampled_by is not None:
            return
        sampled = np.any(volume.kspace(index) != 0, axis=0)
        if not sampled.any():
            return
        rows, columns = (np.flatnonzero(sampled.any(axis=axis)) for axis in (1, 0))
        inside = sampled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        share = 1 - inside.mean()
        if share > ZEROS_ALLOWED:
            raise InputError(
                f"{volume.path}: slice {index}: {share:.0%} of kspace is exactly zero but there is"
                " no `mask`; it looks undersampled, store which columns were sampled as `mask`"
            )

    def seed(self, seed: int = 0) -> int:
        """The seed that the file's name gives, moved by `seed`."""
        return seed_from_name(self.volume.path.name) + seed

    def mask_of_volume(self, seed: int = 0) -> Tensor | None:
        """The one mask of all slices, for evaluation: bool (columns,) or (rows, columns); None off
        the grid.

        With `seed` 0 it depends on the file's name alone.
        """
        name = self.seed(seed)
        rule = int(np.random.default_rng([name, 0]).integers(max(len(self.rules), 1)))
        return self._mask(rule, name)

    def draw(self, rng: np.random.Generator) -> Tensor | None:
        """A mask for one slice in training, drawn from `rng` and from nothing else."""
        rule = int(rng.integers(max(len(self.rules), 1)))
        return self._mask(rule, int(rng.integers(2**32)))

    def _mask(self, rule: int, seed: int) -> Tensor | None:
        if not isinstance(self.volume, GridVolume):
            return None
        width = self.volume.shape[-1]
        if self.volume.mask is not None:
            return torch.from_numpy(self.volume.mask.copy())
        if not self.rules:
            return torch.ones(width, dtype=torch.bool)
        return self.rules[rule].sample(width, seed)


def describe(volume: Volume) -> str:
    """How a file is sampled, in two words: `full`, or what says it and by how much it
    undersamples.
    """
    if volume.sampled_by is None:
        return "full"
    return f"{volume.sampled_by}, {Sampling(volume).own_acceleration:.1f}x"
