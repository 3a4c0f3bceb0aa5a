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
