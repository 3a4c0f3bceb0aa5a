"""What is known of the image under study. Reconstructing needs none of it, training the reference,
metrics the target and the volume's maximum: so each is read when it is asked for, and not before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from deqlab.data.formats.protocol import Volume


class Truth(Protocol):
    """The true image of a slice, or of a batch of slices.

    knows: which of "target" and "reference" there are, without reading them. The tensors lie on the
    CPU, in units of the sample; `maximum` is in the file's units, NaN where unknown.
    """

    @property
    def knows(self) -> frozenset[str]: ...

    @property
    def target(self) -> Tensor | None: ...

    @property
    def reference(self) -> Tensor | None: ...

    @property
    def maximum(self) -> float | Tensor: ...


@dataclass(frozen=True)
class KnownTruth:
    """What is at hand already, such as the image of a simulation; by default nothing is known."""

    target: Tensor | None = None
    reference: Tensor | None = None
    maximum: float = math.nan

    @property
    def knows(self) -> frozenset[str]:
        return frozenset(
            name for name in ("target", "reference") if getattr(self, name) is not None
        )


@dataclass(frozen=True)
class FileTruth:
    """The truth of slice `index` of a file, whose target is read when it is asked for; a subclass
    says where the reference comes from.

    scale: of the sample, in the file's units. rows: the part of the target's rows that the sample
    shows.
    """

    volume: Volume
    index: int
    scale: float
    rows: slice = field(default_factory=lambda: slice(None))

    @property
    def knows(self) -> frozenset[str]:
        return self.volume.knows

    @cached_property
    def target(self) -> Tensor | None:
        image = self.volume.target(self.index)
        if image is None:
            return None
        return torch.from_numpy((image[self.rows] / self.scale).astype(np.float32))

    @property
    def maximum(self) -> float:
        return self.volume.maximum


@dataclass(frozen=True)
class BatchTruth:
    """The truths of a batch, which all know the same: tensors with a leading batch axis."""

    members: Sequence[Truth]

    @property
    def knows(self) -> frozenset[str]:
        return self.members[0].knows

    @cached_property
    def target(self) -> Tensor | None:
        return _stacked([truth.target for truth in self.members])

    @cached_property
    def reference(self) -> Tensor | None:
        return _stacked([truth.reference for truth in self.members])

    @property
    def maximum(self) -> Tensor:
        return torch.tensor([truth.maximum for truth in self.members], dtype=torch.float64)


def _stacked(images: list[Tensor | None]) -> Tensor | None:
    known = [image for image in images if image is not None]
    return torch.stack(known) if known else None
