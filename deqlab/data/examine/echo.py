"""Where the echo lies: the sample of the zero frequency is by far the largest of nearly every scan,
and it belongs into the middle of the array, at N // 2.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from deqlab.core.options import options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import GridVolume, Volume

AXES = ("row", "column")
# A line of signal stands out from the median line by a factor of a hundred and more on scans, and
# one of noise by less than 2: with less than this nothing is claimed.
OUTSTANDING = 8.0
# Samples beside the middle that are taken as they are: phase across the object moves the echo of
# honest scans by one or two.
TOLERANCE = 2
SHORTEST = 8  # lines along an axis; of fewer no one can tell a peak


def echo(profile: np.ndarray, measured: np.ndarray | None = None) -> int | None:
    """The line of the echo, from the energy of the lines along one axis, real (n,); None where no
    line stands out, or where the echo may lie between measured lines.

    measured: bool (n,), the lines that a mask calls measured; all where None.
    """
    lines = profile > 0
    if len(profile) < SHORTEST or lines.sum() < SHORTEST // 2:
        return None
    largest = int(profile.argmax())
    if measured is not None and not measured[len(profile) // 2]:
        # The echo may be what was not measured, unless lines on both sides of the peak were.
        beside_it = (largest - 1, largest, (largest + 1) % len(profile))
        if not all(measured[line] for line in beside_it):
            return None
    # Of few lines all may hold signal, so the weakest quarter stands for the rest.
    rest = float(np.quantile(profile[lines], 0.25))
    return largest if profile[largest] > OUTSTANDING * rest else None


def beside(line: int | None, length: int) -> int:
    """How far the echo lies beside the middle; 0 within the tolerance, and where it is unknown."""
    off = 0 if line is None else line - length // 2
    return off if abs(off) > TOLERANCE else 0


@options
class EchoInTheMiddle(Check):
    """The echo of every slice lies where that of the volume does, which is in the middle."""

    of: ClassVar[type[Any]] = GridVolume

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """A slice whose echo lies elsewhere than that of the rest."""
        assert isinstance(volume, GridVolume)
        for axis, name in enumerate(AXES):
            length = volume.shape[2 + axis]
            measured = measured_lines(volume.mask, axis)
            line = echo(seen.profile(axis), measured)
            if beside(line, length):
                yield Finding(
                    Severity.WARNING,
                    f"the peak of k-space lies in {name} {line} of {length}, not in the middle,"
                    f" {name} {length // 2}, where that of the volume's other slices is expected",
                )


def measured_lines(mask: np.ndarray | None, axis: int) -> np.ndarray | None:
    """The lines along rows (axis 0) or columns (axis 1) of which a mask measures anything."""
    if mask is None or (mask.ndim == 1 and axis == 0):
        return None
    return mask if mask.ndim == 1 else np.asarray(mask.any(1 - axis))
