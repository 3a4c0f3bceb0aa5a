"""Where samples on the grid belong, decided once for a volume by the slice that tells most.

A cyclic shift of k-space multiplies the image by a phase that is linear in position and changes no
magnitude. So an echo beside the middle costs nothing to bring there, and much to leave where it is:
coil maps are estimated about the middle, masks keep its lines, and models know its phase.
"""

from dataclasses import dataclass, field

import numpy as np

from deqlab.data.examine.echo import AXES, beside, echo, measured_lines
from deqlab.data.examine.protocol import Finding, Severity
from deqlab.data.examine.seen import SeenSlice, hull
from deqlab.data.formats.protocol import GridVolume


@dataclass(frozen=True)
class Placement:
    """shift: how far (rows, columns) are moved, cyclically. acquired: columns, as in `GridVolume`,
    after it. findings: what is to be said about it.
    """

    shift: tuple[int, int] = (0, 0)
    acquired: tuple[int, int] | None = None
    findings: list[Finding] = field(default_factory=list)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """k-space or a mask, (..., rows, columns) or (columns,), with everything in its place."""
        axes = (-2, -1)[-values.ndim :]
        moved = [(step, axis) for step, axis in zip(self.shift[-len(axes) :], axes) if step]
        if not moved:
            return values
        return np.roll(values, [step for step, _ in moved], [axis for _, axis in moved])


def placement(volume: GridVolume, seen: SeenSlice) -> Placement:
    """What brings the samples of `volume` to where they belong, by one slice of them."""
    findings: list[Finding] = []
    lines = [echo(seen.profile(axis), measured_lines(volume.mask, axis)) for axis in (0, 1)]
    shift = [-beside(line, volume.shape[2 + axis]) for axis, line in enumerate(lines)]
    columns, support = volume.shape[-1], np.asarray(seen.sampled.any(0))
    acquired = volume.acquired or (0, columns)
    if not support.any():
        return Placement(acquired=volume.acquired)

    left = _from_first_column(volume, support, lines[1])
    if left:
        shift[1] = left
        findings.append(
            Finding(
                Severity.WARNING,
                f"kspace holds the acquired columns from column 0 on, ismrmrd_header places them at"
                f" {acquired[0]} to {acquired[1] - 1}",
                "they are moved there",
            )
        )
    for axis, name in enumerate(AXES):
        if shift[axis] and not (axis == 1 and left):
            length = volume.shape[2 + axis]
            findings.append(
                Finding(
                    Severity.WARNING,
                    f"the peak of k-space lies in {name} {lines[axis]} of {length}, not in the"
                    f" middle, {name} {length // 2}",
                    "it is moved there, which changes no magnitude"
                    + (", and the mask with it" if volume.mask is not None else ""),
                )
            )
    held = hull(np.roll(support, shift[1]))
    if held.start < acquired[0] or held.stop > acquired[1]:
        findings.append(
            Finding(
                Severity.WARNING,
                f"ismrmrd_header places the acquired columns at {acquired[0]} to {acquired[1] - 1},"
                f" but kspace holds samples in columns {held.start} to {held.stop - 1}",
                "the samples are believed",
            )
        )
        acquired = held.start, held.stop
    unchanged = acquired == (volume.acquired or (0, columns))
    return Placement((shift[0], shift[1]), volume.acquired if unchanged else acquired, findings)


def _from_first_column(volume: GridVolume, support: np.ndarray, line: int | None) -> int:
    """How far the acquired columns must move right where the file has them from column 0 on and
    its header places them elsewhere; 0 where it has not.
    """
    header, columns = volume.header, volume.shape[-1]
    if header is None or header.center is None or header.maximum is None or line is None:
        return 0
    left = columns // 2 - header.center
    if header.encoded[1] != columns or left <= 0 or hull(support).stop > header.maximum + 1:
        return 0
    return left if not beside(line + left, columns) and beside(line, columns) else 0
