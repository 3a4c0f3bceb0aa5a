"""Coils stand on the second axis: along it there is no echo, along rows and columns there is."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from deqlab.core.options import Positive, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import GridVolume, Volume


@options
class CoilAxis(Check):
    """Energy peaks in the middle of rows and columns by orders of magnitude; that of coils is alike
    but for their distance from the object. So the samples tell which axis is which.
    """

    of: ClassVar[type[Any]] = GridVolume
    peaked: Positive = option(50.0, "largest over median energy along an axis of k-space, at least")
    flat: Positive = option(8.0, "the same along an axis of coils, at most")

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """Axes that look like another one."""
        coils, *sides = (_outstanding(seen.by_coil, axis) for axis in range(3))
        for name, length, side in zip(("rows", "columns"), volume.shape[2:], sides, strict=True):
            other = sides[1] if name == "rows" else sides[0]
            if 1 < length < max(volume.shape[1], 64) and side < self.flat:
                shape = "x".join(map(str, volume.shape))
                if coils > self.peaked or (volume.shape[1] == 1 and other > self.peaked):
                    yield Finding(
                        Severity.REFUSAL,
                        f"the {length} {name} of kspace look like coils: no echo along them, in an"
                        f" array of shape {shape}",
                        "(slices, coils, rows, columns) needed",
                    )


def _outstanding(energy: np.ndarray, axis: int) -> float:
    """Largest over median energy along an axis of (coil, rows, columns); 1 where all is zero."""
    others = tuple({0, 1, 2} - {axis})
    profile = energy.sum(others, dtype=np.float64)
    lines = profile[profile > 0]
    return float(lines.max() / np.median(lines)) if len(lines) else 1.0
