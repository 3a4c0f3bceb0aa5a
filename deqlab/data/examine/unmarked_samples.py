"""k-space that calls itself fully sampled has no holes.

Someone undersampled it and did not say so: its target would be wrong, a method would be judged by
aliases, and a model would learn them.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from deqlab.core.options import NonNegative, Positive, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice, hull
from deqlab.data.formats.protocol import GridVolume, Volume

ADVICE = "it looks undersampled, store which columns were sampled as `mask`"


@options
class UnmarkedSamples(Check):
    """Without a mask, the box that the samples fill is full: margins may be empty, as those of
    partial Fourier are, but no line between others.
    """

    of: ClassVar[type[Any]] = GridVolume
    allowed: NonNegative = option(0.05, "share of the box that may be zero in every coil")
    dust: Positive = option(
        1e-7, "share of the largest sample below which a line holds rounding errors alone"
    )

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """Holes, and lines that hold next to nothing."""
        if volume.sampled_by is not None or not seen.zeros_tell:
            return
        if seen.zeros_in_box > self.allowed:
            yield Finding(
                Severity.REFUSAL,
                f"{seen.zeros_in_box:.0%} of kspace is exactly zero but there is no `mask`"
                + "".join(
                    f"; whole {name} of zeros, as if undersampled"
                    for axis, name in enumerate(("rows", "columns"))
                    if _empty_between(seen, axis)
                ),
                ADVICE,
            )
            return
        for axis, name in enumerate(("rows", "columns")):
            held = seen.energy.max(1 - axis) > self.dust**2 * seen.energy.max()
            inside = held[hull(held)]
            empty = int((~inside).sum())
            if empty > self.allowed * len(inside):
                yield Finding(
                    Severity.WARNING,
                    f"whole {name} of kspace hold next to nothing between others that do not, as"
                    " if undersampled, but no `mask` says so",
                    ADVICE,
                )
            elif _empty_between(seen, axis):
                yield Finding(
                    Severity.WARNING,
                    f"whole {name} of zeros, as if undersampled, but no `mask` says so",
                    "they are taken as measured",
                )


def _empty_between(seen: SeenSlice, axis: int) -> bool:
    """Whether some row (axis 0) or column (axis 1) between others is zero in every coil."""
    return not np.asarray(seen.sampled.any(1 - axis))[seen.box[axis]].all()
