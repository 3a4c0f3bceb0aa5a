"""The parts of an operator for a batch: (batch, ...), or (1, ...) where all members share one."""

from typing import Protocol, TypeVar, cast

import torch
from torch import Tensor

Part = TypeVar("Part", bound=Tensor | None)
OnePart = TypeVar("OnePart", covariant=True)


class Members(Protocol[OnePart]):
    """A tensor or a list, indexed by batch member."""

    def __len__(self) -> int: ...

    def __getitem__(self, member: int, /) -> OnePart: ...


def of_member(parts: Members[OnePart], member: int) -> OnePart:
    """What belongs to one batch member of a part."""
    return parts[member if len(parts) > 1 else 0]


def selected(part: Part, index: Tensor) -> Part:
    """The members in `index` of a part; one that all members share stays as it is."""
    return part if part is None or len(part) == 1 else cast(Part, part[index])


def joined(given: list[Tensor | None]) -> Tensor | None:
    """The part for a batch from those of its members; one that they share stays one for all."""
    parts = [part for part in given if part is not None]
    if not parts:
        return None
    return parts[0] if all(torch.equal(part, parts[0]) for part in parts) else torch.cat(parts)
