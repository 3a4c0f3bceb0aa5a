"""What has to be said beside a metric's name before its number means anything: over what one mean
is taken, what the data range is, and which pixels count.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import Positive, option, options
from deqlab.metrics.regions import REGIONS, Everywhere

# From target, image and region of a volume, or of a slice as a volume of one, a number.
Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


@options
class Convention:
    """Of metrics that need no data range."""

    by: Literal["volume", "slice"] = option(
        "volume", "what one mean is taken over: the volume, or each slice, and then their mean"
    )
    region: Annotated[Any, REGIONS] = option(Everywhere(), "which pixels count")

    def score(self, score: Score, target: np.ndarray, image: np.ndarray) -> float:
        """`score` of the volume, or the mean of it over the slices that have pixels that count.

        target, image: (slices, y, x). InputError where no pixel counts.
        """
        inside = self.region(np.abs(target))
        if not inside.any():
            raise InputError(f"region: {self.region} has no pixel of the volume")
        if self.by == "volume":
            return float(score(target, image, inside))
        slices = [at for at in range(len(target)) if inside[at].any()]
        each = [
            score(target[at : at + 1], image[at : at + 1], inside[at : at + 1]) for at in slices
        ]
        return float(np.mean(each))


@options
class RangedConvention(Convention):
    """Of metrics that depend on the data range: the same image scores several dB differently with
    another one.
    """

    data_range: Positive | None = option(
        None,
        "in units of the images; None for the target's maximum, of the volume or of each slice",
    )

    def peak(self, target: np.ndarray, maximum: float | None) -> float:
        """The data range for a volume, or for a slice. maximum: that of a volume of which only some
        slices are given; slice by slice nobody asks for it.
        """
        if self.data_range is not None:
            return self.data_range
        known = maximum is not None and self.by == "volume"
        return float(maximum if known and maximum is not None else target.max())
