"""Training batches as a pure function of (seed, stream, step): a resumed run draws what an
uninterrupted one would have drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.rank import Rank
from deqlab.data.dataset import SliceDataset
from deqlab.data.sample import Batch, Sample, collate, groups_by_shape
from deqlab.signal.sampling.masks import mask_rules
from deqlab.training.config import TrainingConfig


@runtime_checkable
class Draws(Protocol):
    """Where training batches come from."""

    def batch(self, stream: int, step: int, rank: Rank = Rank()) -> Batch:
        """The batch of `step` (0, 1, ...) in a stream of draws, and nothing but a function of both.

        stream: 0 where a denoiser learns from the references alone, 1 for everything else.
        rank: whose share of the batch it is.
        """


class TrainingSlices:
    """The training slices under a configuration's masks, noise and strips, grouped by shape so that
    any group makes a batch.
    """

    def __init__(self, files: Sequence[Path], config: TrainingConfig):
        rules = mask_rules(config.mask, config.acceleration, config.center_fraction)
        self.dataset = SliceDataset(
            files, rules, noise=(0.0, config.noise), max_pixels=config.max_pixels
        )
        self.dataset.require("reference", "training")
        self.groups = list(groups_by_shape(self.dataset).values())
        self.seed, self.batch_size = config.seed, config.batch_size

    def batch(self, stream: int, step: int, rank: Rank = Rank()) -> Batch:
        """The batch of `step` (0, 1, ...) in a stream of draws: a shape is drawn by its share of
        the slices, then slices of that shape. What a slice draws depends on those before it, so a
        process makes all of them and keeps its own. A slice without any signal, from which nothing
        can be learned, gives its place to another of its shape; InputError where there is none.
        """
        rng = np.random.default_rng([self.seed, stream, step])
        sizes = np.array([len(group) for group in self.groups])
        group = self.groups[rng.choice(len(sizes), p=sizes / sizes.sum())]
        chosen = rng.choice(group, size=self.batch_size, replace=len(group) < self.batch_size)
        return collate(rank.part([self._filled(int(index), group, rng) for index in chosen]))

    def _filled(self, index: int, group: Sequence[int], rng: np.random.Generator) -> Sample:
        """Slice `index`, or where it is empty the next one of the group that is not."""
        start = group.index(index)
        for other in (*group[start:], *group[:start]):
            sample = self.dataset.sample(other, rng)
            if bool(sample.known("reference").any()):
                return sample
        names = sorted({self.dataset.items[at][0].volume.path.name for at in group})
        raise InputError(f"{', '.join(names)}: nothing was measured in any of the slices")
