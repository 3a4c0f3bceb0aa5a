"""Slices on which methods are judged one by one: those of the built-in test heads, and measured
scans under masks. Both have the classical methods beside, each at its best weight.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from deqlab.data import Batch, collate
from deqlab.data.simulated import builtin
from deqlab.evaluation.baselines import baselines
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import judge, slices_of
from deqlab.recon import Budget, Reconstructor, create
from scans.cases import Case, fully_sampled
from scans.judging import LADDERS, at_best, psnr

Scores = dict[str, np.ndarray]  # by metric, each (slices,)


class SliceSet(ABC):
    """Some slices at one acceleration, and how an image of them is judged. metrics: their names."""

    title: str
    metrics: tuple[str, ...]

    @abstractmethod
    def scores(self, method: Reconstructor, budget: Budget = Budget()) -> Scores:
        """Those of a method."""

    @abstractmethod
    def classical(self) -> Iterator[tuple[str, Scores]]:
        """The zero-filled images, then each classical method at its best weight."""

    def _each(self, judged: Callable[[int], dict[str, float]], count: int) -> Scores:
        rows = [judged(index) for index in range(count)]
        return {name: np.array([row[name] for row in rows]) for name in self.metrics}


@dataclass
class Heads(SliceSet):
    """Slices of the built-in test heads as `deqlab evaluate` has them; metrics as there, of each
    slice, the data range being the volume's. most: slices, spread evenly; None for all.

    Classical methods are tuned on the validation heads.
    """

    acceleration: float
    most: int | None = None
    metrics = ("psnr", "ssim")

    @property
    def title(self) -> str:
        """In tables."""
        return f"heads, {self.acceleration:g}x"

    @cached_property
    def batches(self) -> list[Batch]:
        """One of each slice."""
        volumes = [slices_of(path, Conditions(), self.acceleration) for path in builtin("test")]
        places = [(volume, index) for volume in volumes for index in range(len(volume))]
        count = min(self.most or len(places), len(places))
        chosen = np.linspace(0, len(places) - 1, count).round().astype(int)
        return [collate([places[at][0][places[at][1]]]) for at in chosen]

    def scores(self, method: Reconstructor, budget: Budget = Budget()) -> Scores:
        """PSNR and SSIM."""

        def judged(index: int) -> dict[str, float]:
            return judge("", method, self.batches[index], self.acceleration, budget).scores

        return self._each(judged, len(self.batches))

    def classical(self) -> Iterator[tuple[str, Scores]]:
        """As said above."""
        yield "zero-filled", self.scores(create("zero-filled"))
        for found in baselines(list(LADDERS), Conditions(), self.acceleration):
            yield found.name, self.scores(found.method)


@dataclass
class Scans(SliceSet):
    """The middle slices of the fully sampled scans in a folder, each under so many masks; PSNR
    inside the head, after the scale that fits best.

    Classical methods are each at the best weight for that very slice and mask.
    """

    folder: Path
    acceleration: float
    masks: int
    metrics = ("psnr",)

    @property
    def title(self) -> str:
        """In tables."""
        return f"scans, {self.acceleration:g}x"

    @cached_property
    def cases(self) -> list[Case]:
        """Scan after scan, mask after mask."""
        scans = fully_sampled(self.folder)
        return [
            Case(scan, self.acceleration, None, seed)
            for scan in scans
            for seed in range(self.masks)
        ]

    def scores(self, method: Reconstructor, budget: Budget = Budget()) -> Scores:
        """PSNR."""

        def judged(index: int) -> dict[str, float]:
            batch = self.cases[index].batch
            image = method.run(batch.kspace, batch.operator, budget).image
            return {"psnr": psnr(image, batch.known("reference"))}

        with torch.no_grad():
            return self._each(judged, len(self.cases))

    def classical(self) -> Iterator[tuple[str, Scores]]:
        """As said above; kept in the cache folder."""
        yield "zero-filled", self.scores(create("zero-filled"))
        for name in LADDERS:

            def judged(index: int, name: str = name) -> dict[str, float]:
                return at_best(self.cases[index], name)

            yield name, self._each(judged, len(self.cases))
