"""Which share of a batch is one process's own, where several work on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Rank:
    """Process `index` (0, 1, ...) `of` so many, which share each batch evenly and in order; by
    default the only one. A batch has a multiple of `of` samples.
    """

    index: int = 0
    of: int = 1

    def part(self, batch: Sequence[T]) -> Sequence[T]:
        """The samples of the whole batch that are this process's."""
        size = len(batch) // self.of
        return batch[self.index * size : (self.index + 1) * size]

    def drawn(self, draw: Callable[[tuple[int, ...]], Tensor], shape: Sequence[int]) -> Tensor:
        """Random numbers of `shape`, (own samples, ...): those rows of what one process would have
        drawn for the whole batch.
        """
        own, *rest = shape
        return draw((own * self.of, *rest))[self.index * own : (self.index + 1) * own]
