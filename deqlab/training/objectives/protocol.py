"""What an objective is: what one training step minimises, and in which phases a run goes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deqlab.core.rank import Rank
from deqlab.data.sample import Batch
from deqlab.losses.protocol import Loss

Logs = dict[str, float]


@dataclass(frozen=True)
class Step:
    """Which step of a phase it is. loss: between image and reference. rank: whose share of the
    step's batch it is; whatever is drawn for samples is drawn by `rank.drawn`.
    """

    seed: int
    number: int
    loss: Loss
    rank: Rank = Rank()

    def generator(self, use: int = 0) -> torch.Generator:
        """Random numbers that depend on the run's seed, on the step and on what they are used for,
        and on nothing else.
        """
        # A generator on the CPU reads 32 bits of its seed and forgets all others.
        apart = np.random.SeedSequence([self.seed, use]).generate_state(1)[0]
        first = int(apart) if self.seed or use else 0
        return torch.Generator().manual_seed((first + self.number) % 2**32)


@dataclass(frozen=True)
class Phase:
    """Some epochs of one objective. name: in logs. stream: which of the seed's streams of draws its
    batches come from, as `deqlab.training.draw.Draws` names them.
    """

    name: str
    objective: "Objective"
    epochs: int
    stream: int = 1


class Objective(ABC):
    """What a step minimises; made by `options`, so that its fields are its flags."""

    def phases(self, epochs: int, model: Any) -> list[Phase]:
        """The phases of a run of `epochs` epochs, in order. model: the options of what is
        trained.
        """
        del model
        return [Phase("train", self, epochs)]

    def attach(self, model: Any) -> None:
        """Tell the model how it is to be solved and differentiated while it is trained; most
        objectives have nothing to tell.
        """
        del model

    @abstractmethod
    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(what is minimised, a real scalar; numbers for the log)."""
