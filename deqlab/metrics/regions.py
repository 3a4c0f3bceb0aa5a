"""Where a metric looks, as objects."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import Share, option, options
from deqlab.core.registry import Registry


class Region(Protocol):
    """Says which pixels count."""

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """True where a pixel counts, of the shape of a magnitude volume (slices, y, x)."""


@options
class Everywhere:
    """All pixels count, those of the air too."""

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """True everywhere."""
        return np.ones(target.shape, bool)


@options
class InsideObject:
    """Pixels count whose target is brighter than a share of the volume's maximum."""

    threshold: Share = option(0.05, "share of the maximum that the target must exceed")

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """True where there is something."""
        return np.asarray(target > self.threshold * target.max())


@dataclass(frozen=True, eq=False)
class Marked:
    """A region drawn by hand. mask: bool, (slices, y, x) or what is broadcast to that."""

    mask: np.ndarray

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """The mask; InputError where it does not fit."""
        mask = np.asarray(self.mask)
        try:
            return np.broadcast_to(mask.astype(bool), target.shape)
        except ValueError:
            raise InputError(
                f"region: a mask of shape {mask.shape} given, one that fits {target.shape} needed"
            ) from None


REGIONS: Registry[Region] = Registry(
    "region", {"everywhere": Everywhere, "object": InsideObject}, also=(Marked,)
)
