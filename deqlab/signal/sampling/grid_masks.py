"""Which points of the phase-encode plane are measured: 2-D patterns with a fully sampled centre.

Both axes are phase encodes here: these are patterns of a 3-D scan, whose readout runs out of the
plane. `RadialOnGrid` and `SpiralOnGrid` are the grid points next to spokes and spirals, not
trajectories: nothing is measured between grid points. Every pattern has round(y x / acceleration)
    points exactly, the square of `calibration` points a side about the zero frequency among them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.transforms.crop import center_window

GOLDEN_ANGLE = (
    np.pi * (np.sqrt(5) - 1) / 2
)  # 111.25 degrees: any number of successive spokes divides the half circle almost evenly


@dataclass(frozen=True)
class RandomPoints:
    """Points drawn with a probability that falls as (1 - distance)^power from the centre to the
    corner.

    power: 0 is uniform. The calibration square is measured anyway. Source of the density: Lustig,
    Donoho and Pauly, Sparse MRI, Magn Reson Med 58:1182 (2007); of a draw of fixed size with
    unequal probabilities: Ohlsson, Sequential Poisson sampling, J Off Stat 14:149 (1998).
    """

    acceleration: float
    calibration: int = 24
    power: float = 3.0

    def __post_init__(self) -> None:
        check_pattern(self)
        if not self.power >= 0:
            raise InputError(f"power: {self.power} given, 0 or more needed")

    def sample(self, shape: tuple[int, int], seed: int) -> Tensor:
        """The pattern of one draw: bool (y, x), True where a point is measured; the same for the
        same `seed`.
        """
        mask, count = calibration_square(shape, self)
        random = np.random.default_rng(seed)
        distance = center_distance(shape)
        # Not zero in the corner, so that a full matrix can be reached.
        density = (1 - distance / distance.max()) ** self.power + 1e-3
        # Ranks of u / density: the points that come first are drawn.
        return complete(mask, np.where(mask, np.inf, random.uniform(size=shape) / density), count)


@dataclass(frozen=True)
class RadialOnGrid:
    """Grid points next to spokes through the centre; each spoke is turned by the golden angle
    against the last.

    Spokes are added until the count is reached; the last one ends where that happens. The first
    direction is drawn from the seed. Corners are not reached. Source: Winkelmann et al., An optimal
    radial profile order based on the golden ratio, IEEE Trans Med Imaging 26:68 (2007).
    """

    acceleration: float
    calibration: int = 24

    def __post_init__(self) -> None:
        check_pattern(self)

    def sample(self, shape: tuple[int, int], seed: int) -> Tensor:
        """The pattern of one draw: bool (y, x), True where a point is measured; the same for the
        same `seed`.
        """
        mask, count = calibration_square(shape, self)
        start = np.random.default_rng(seed).uniform(0, np.pi)
        angle = start + GOLDEN_ANGLE * np.arange(3 * max(shape))
        along = np.linspace(-1, 1, 2 * max(shape) + 1)
        points = path_points(shape, angle[:, None], along[None, :])
        # Order of arrival: by spoke, and along a spoke from the centre outwards.
        time = np.arange(len(angle))[:, None] + 0.5 * np.abs(along)[None, :]
        return complete(mask, first_arrival(shape, points, time), count)


@dataclass(frozen=True)
class SpiralOnGrid:
    """Grid points next to `interleaves` equal spirals, whose turns lie farther apart towards the
    rim.

    The distance from the centre grows with the angle to the power `power`: 1 is an Archimedean
    spiral, whose turns are equally far apart. The number of turns is the one that gives the count.
    The first direction is drawn from the seed. Corners are not reached.
    """

    acceleration: float
    calibration: int = 24
    interleaves: int = 8
    power: float = 1.5

    def __post_init__(self) -> None:
        check_pattern(self)
        if self.interleaves < 1:
            raise InputError(f"interleaves: {self.interleaves} given, 1 or more needed")
        if not self.power > 0:
            raise InputError(f"power: {self.power} given, a positive number needed")

    def sample(self, shape: tuple[int, int], seed: int) -> Tensor:
        """The pattern of one draw: bool (y, x), True where a point is measured; the same for the
        same `seed`.
        """
        mask, count = calibration_square(shape, self)
        start = np.random.default_rng(seed).uniform(0, 2 * np.pi)
        low, high = 0.0, 2.0 * max(shape)
        for _ in range(20):
            turns = (low + high) / 2
            arrival = self._arrival(shape, start, turns)
            found = int((np.isfinite(arrival) | mask).sum())
            low, high = (low, turns) if found >= count else (turns, high)
            if count <= found <= count + max(shape) // 16:
                break
        else:
            arrival = self._arrival(shape, start, high)
        return complete(mask, arrival, count)

    def _arrival(self, shape: tuple[int, int], start: float, turns: float) -> np.ndarray:
        # Two points a grid step on the outermost turn, where the path is fastest.
        steps = int(2 * max(shape) * (self.power + np.pi * turns / self.interleaves)) + 2
        time = np.linspace(0, 1, steps)[None, :]
        turn = start + 2 * np.pi * (
            np.arange(self.interleaves)[:, None] / self.interleaves
            + turns / self.interleaves * time
        )
        points = path_points(shape, turn, time**self.power)
        return first_arrival(shape, points, np.broadcast_to(time, points.shape))


class Pattern(Protocol):
    """What patterns on a grid have in common."""

    @property
    def acceleration(self) -> float: ...

    @property
    def calibration(self) -> int: ...


def check_pattern(pattern: Pattern) -> None:
    """InputError unless the pattern's `acceleration` is 1 or more and its `calibration` is not
    negative.
    """
    if not 1 <= pattern.acceleration < np.inf:
        raise InputError(f"acceleration: {pattern.acceleration} given, 1 or more needed")
    if pattern.calibration < 0:
        raise InputError(
            f"calibration: {pattern.calibration} given, 0 or more points a side needed"
        )


def calibration_square(shape: tuple[int, int], pattern: Pattern) -> tuple[np.ndarray, int]:
    """The calibration square, bool (y, x), and the number of points that the whole pattern has."""
    rows, columns = shape
    side, count = pattern.calibration, round(rows * columns / pattern.acceleration)
    if min(shape) < 1 or count < 1:
        raise InputError(
            f"acceleration: {pattern.acceleration:g} leaves no point of a matrix of {rows} x"
            f" {columns}"
        )
    if side > min(shape):
        raise InputError(
            f"calibration: {side} points a side given, the matrix is {rows} x {columns}"
        )
    if side**2 > count:
        raise InputError(
            f"calibration: {side} x {side} points given; acceleration {pattern.acceleration:g} of"
            f" {rows} x {columns} leaves {count}"
        )
    mask = np.zeros(shape, dtype=bool)
    if side:
        mask[center_window(rows, side), center_window(columns, side)] = True
    return mask, count


def center_distance(shape: tuple[int, int]) -> np.ndarray:
    """Distance of every grid point from the zero frequency, float (y, x): 1 in the middle of an
    edge, so sqrt(2) in a corner.
    """
    y, x = (2 * (np.arange(length) - length // 2) / length for length in shape)
    return np.hypot(y[:, None], x[None, :])


def path_points(shape: tuple[int, int], angle: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Flat index of the grid point nearest to each polar coordinate: angle in radians, distance 1
    at the middle of an edge; -1 outside.
    """
    rows, columns = shape
    y = np.rint(rows // 2 + distance * np.sin(angle) * rows / 2).astype(np.int64)
    x = np.rint(columns // 2 + distance * np.cos(angle) * columns / 2).astype(np.int64)
    return np.where((y >= 0) & (y < rows) & (x >= 0) & (x < columns), y * columns + x, -1)


def first_arrival(shape: tuple[int, int], points: np.ndarray, time: np.ndarray) -> np.ndarray:
    """When each grid point is first met, float (y, x), infinity where it never is: the least `time`
    at which it is among `points`.
    """
    # The last assignment to an index stays, so the earliest comes last.
    order = np.argsort(-time, axis=None, kind="stable")
    points, time = points.ravel()[order], time.ravel()[order]
    arrival = np.full(shape[0] * shape[1] + 1, np.inf)
    arrival[points] = time  # -1 is the spare entry at the end
    return arrival[:-1].reshape(shape)


def complete(mask: np.ndarray, arrival: np.ndarray, count: int) -> Tensor:
    """`mask` with as many further points as bring it to `count`, those of least `arrival`, as a
    bool tensor (y, x).
    """
    arrival = np.where(mask, np.inf, arrival)
    check_reach(mask | np.isfinite(arrival), count)
    mask = mask.copy()
    mask.ravel()[np.argsort(arrival, axis=None, kind="stable")[: count - int(mask.sum())]] = True
    return torch.from_numpy(mask)


def check_reach(allowed: np.ndarray, count: int) -> None:
    """InputError unless the points that a pattern may have, bool (y, x), are `count` or more."""
    if count > allowed.sum():
        lowest = np.ceil(100 * allowed.size / allowed.sum()) / 100
        raise InputError(
            f"acceleration: {allowed.size / count:.4g} given; this pattern leaves the corners out,"
            f" so it needs {lowest:.2f} or more"
        )
