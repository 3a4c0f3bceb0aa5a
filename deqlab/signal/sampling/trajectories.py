"""Where k-space is sampled off the grid: lines in any order, spokes, spirals, and spokes of a
volume.

A trajectory is a choice, a frozen dataclass. `sample(shape)` makes its points for an image of
(rows, columns): float64 (samples, 2) with columns (ky, kx) in *cycles per pixel*, within +-0.5.
There the transform of the image has the phase 2 pi (ky y + kx x), with y and x counted in pixels
from index N // 2. Times `shape`, they are cycles per field of view, in which neighbours on a
Cartesian grid are 1 apart. `readout_times(shape)`, float64 (samples,), says when each point is
reached, in seconds; zero is the time at which off-resonance has no effect, the echo of a spoke or a
line and the start of a spiral.

Over 300 lines: five short trajectories that share their angles, units and checks.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.scan.gradients import Gradients, travel

GOLDEN_RATIO = (1 + math.sqrt(5)) / 2


@dataclass(frozen=True)
class UniformAngles:
    """`count` directions at equal distances over `turn` radians: the best for a known count,
    useless before the last one is there.
    """

    def sample(self, count: int, turn: float) -> np.ndarray:
        """Angles in radians, float64 (count,)."""
        return turn * np.arange(count) / count


@dataclass(frozen=True)
class GoldenAngles:
    """Each direction divides the largest gap that its predecessors left, so any run of consecutive
    ones is nearly uniform.

    order: 1 for the golden angle, 111.25 degrees for spokes; n for the n-th tiny golden angle,
        which moves less from one to the next.
    Source: Winkelmann et al., An optimal radial profile order based on the golden ratio, IEEE Trans
    Med Imaging 26:68 (2007); tiny angles, Wundrak et al., IEEE Trans Med Imaging 34:1262 (2015),
    eq. (3): turn / (golden ratio + order - 1).
    """

    order: int = 1

    def __post_init__(self) -> None:
        _whole("golden angles: order", self.order)

    def sample(self, count: int, turn: float) -> np.ndarray:
        """Angles in radians, float64 (count,), between 0 and `turn`."""
        return np.mod(np.arange(count) * turn / (GOLDEN_RATIO + self.order - 1), turn)


AngleRule = UniformAngles | GoldenAngles


@dataclass(frozen=True)
class Radial:
    """Spokes through the centre of k-space, each a full diameter from -0.5 to just below 0.5 cycles
    per pixel.

    spokes: their number. samples: along one spoke; where None, twice the longer side of the image,
        as oversampling a readout costs nothing.
    angles: the rule of their directions. dwell: seconds from one sample to the next. Points run
        spoke after spoke.
    """

    spokes: int
    samples: int | None = None
    angles: AngleRule = UniformAngles()
    dwell: float = 5e-6

    def __post_init__(self) -> None:
        _whole("radial: spokes", self.spokes)
        if self.samples is not None:
            _whole("radial: samples", self.samples)
        _positive("radial: dwell", self.dwell, "s")

    def sample(self, shape: tuple[int, int]) -> Tensor:
        """Points, float64 (spokes x samples, 2), columns (ky, kx) in cycles per pixel."""
        along = self._along(shape)
        angle = self.angles.sample(self.spokes, math.pi)[:, None]
        return _points(np.sin(angle) * along, np.cos(angle) * along)

    def readout_times(self, shape: tuple[int, int]) -> Tensor:
        """Seconds from the echo, at which the spoke crosses the centre: float64 (spokes x
        samples,).
        """
        steps = len(self._along(shape))
        return torch.from_numpy(np.tile((np.arange(steps) - steps // 2) * self.dwell, self.spokes))

    def _along(self, shape: tuple[int, int]) -> np.ndarray:
        _checked(shape, 2)
        return _diameter(2 * max(shape) if self.samples is None else self.samples)


@dataclass(frozen=True)
class Spiral:
    """Interleaved spirals from the centre out to 0.5 cycles per pixel, run through as fast as the
    gradients allow.

    interleaves: their number. turns: of each; where None, as many as make neighbouring turns of all
        interleaves one cycle per field of view apart at the edge (Nyquist). Fewer turns or
        interleaves than that undersample.
    center_density: how many times denser the turns are in the centre than at the edge, linear in
        between; 1 is Archimedes' spiral.
    angles: the rule by which interleaves are turned, over the full circle. field_of_view: mm, along
    the longer side of the image. Source of the radius: turns at the distance 1 / F(k) with F linear
    in k, as in Lee et al., Magn Reson Med 50:1276 (2003).
    """

    interleaves: int
    turns: float | None = None
    center_density: float = 1.0
    angles: AngleRule = UniformAngles()
    field_of_view: float = 240.0
    gradients: Gradients = Gradients()

    def __post_init__(self) -> None:
        _whole("spiral: interleaves", self.interleaves)
        if self.turns is not None:
            _positive("spiral: turns", self.turns, "")
        _positive("spiral: center_density", self.center_density, "")
        _positive("spiral: field_of_view", self.field_of_view, "mm")

    def sample(self, shape: tuple[int, int]) -> Tensor:
        """Points, float64 (interleaves x samples, 2), columns (ky, kx) in cycles per pixel,
        interleaf after interleaf.
        """
        angle = self._angles(shape)
        radius = self._radius(angle, self._turns(shape))[0]
        direction = angle + self.angles.sample(self.interleaves, 2 * math.pi)[:, None]
        return _points(np.sin(direction) * radius, np.cos(direction) * radius)

    def readout_times(self, shape: tuple[int, int]) -> Tensor:
        """Seconds from the start of the interleaf: float64 (interleaves x samples,)."""
        times = np.arange(len(self._angles(shape))) * self.gradients.dwell
        return torch.from_numpy(np.tile(times, self.interleaves))

    def duration(self, shape: tuple[int, int]) -> float:
        """Seconds that the readout of one interleaf takes."""
        return len(self._angles(shape)) * self.gradients.dwell

    def _turns(self, shape: tuple[int, int]) -> float:
        _checked(shape, 2)
        return (
            nyquist_turns(shape, self.interleaves, self.center_density)
            if self.turns is None
            else self.turns
        )

    def _angles(self, shape: tuple[int, int]) -> np.ndarray:
        turns, pixel = self._turns(shape), self.field_of_view / max(shape)

        def curve(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            radius, first, second = self._radius(angle, turns)
            return radius / pixel, first / pixel, second / pixel

        return travel(curve, turns, self.gradients)

    def _radius(self, angle: np.ndarray, turns: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """k and its derivatives by the angle: F(k) dk = share of the turns, with F = a + b k and
        the edge k = 1/2 at the last turn.
        """
        # In units of the density at the edge; the integral of F from 0 to 1/2 is (density + 1) / 4.
        a, b = self.center_density, 2 * (1 - self.center_density)
        pace = (self.center_density + 1) / 4 / (2 * math.pi * turns)
        root = np.sqrt(a**2 + 2 * b * pace * angle)  # = F(k)
        radius = 2 * pace * angle / (a + root)
        return radius, pace / root, -b * pace**2 / root**3


@dataclass(frozen=True)
class CartesianLines:
    """Every sample of the Cartesian grid, line after line along y, so that `F` on it is `fft2c`;
    what differs is when each is measured.

    lines_per_shot: 1 for one line each excitation; more for echo-planar trains, in which
        neighbouring lines are measured one after another.
    dwell: seconds from one sample to the next.
    """

    lines_per_shot: int = 1
    dwell: float = 5e-6

    def __post_init__(self) -> None:
        _whole("lines: lines_per_shot", self.lines_per_shot)
        _positive("lines: dwell", self.dwell, "s")

    def sample(self, shape: tuple[int, int]) -> Tensor:
        """Points, float64 (columns x rows, 2), columns (ky, kx) in cycles per pixel: whole lines
        along y, from the first kx to the last.
        """
        rows, columns = _checked(shape, 2)
        return _points(
            np.tile(_diameter(rows), (columns, 1)), np.repeat(_diameter(columns)[:, None], rows, 1)
        )

    def readout_times(self, shape: tuple[int, int]) -> Tensor:
        """Seconds from the middle of the readout (of the train, where lines share a shot): float64
        (columns x rows,).
        """
        rows, columns = _checked(shape, 2)
        shot = np.arange(columns) % self.lines_per_shot - self.lines_per_shot // 2
        return torch.from_numpy(
            ((shot[:, None] * rows + np.arange(rows) - rows // 2) * self.dwell).ravel()
        )


@dataclass(frozen=True)
class RadialVolume:
    """Spokes of a volume, each a full diameter, with directions spread over the half sphere by two
    golden means (a kooshball).

    spokes, samples: as in `Radial`. Consecutive spokes are nearly uniform in any number.
    Source: Chan et al., Temporal stability of adaptive 3D radial MRI using multidimensional golden
        means, Magn Reson Med 61:354 (2009).
    """

    spokes: int
    samples: int | None = None

    def __post_init__(self) -> None:
        _whole("radial volume: spokes", self.spokes)
        if self.samples is not None:
            _whole("radial volume: samples", self.samples)

    def sample(self, shape: tuple[int, int, int]) -> Tensor:
        """Points, float64 (spokes x samples, 3), columns (kz, ky, kx) in cycles per pixel; shape:
        (planes, rows, columns).
        """
        _checked(shape, 3)
        along = _diameter(2 * max(shape) if self.samples is None else self.samples)
        # The two means are powers of 1 / g, where g is the real root of g^3 = g^2 + 1.
        mean = 1 / _real_root()
        number = np.arange(self.spokes)[:, None]
        height, azimuth = np.mod(number * mean**2, 1), 2 * math.pi * np.mod(number * mean, 1)
        flat = np.sqrt(1 - height**2)
        return _points(
            height * along, flat * np.sin(azimuth) * along, flat * np.cos(azimuth) * along
        )


def nyquist_spokes(shape: tuple[int, ...]) -> int:
    """The number of spokes whose ends are one cycle per field of view apart: pi/2 N in a plane,
    pi/2 N^2 in a volume (N: longest side).
    """
    _checked(shape, len(shape))
    if len(shape) not in (2, 3):
        raise InputError(
            f"shape: {tuple(shape)} given; (rows, columns) or (planes, rows, columns) needed"
        )
    return math.ceil(math.pi / 2 * max(shape) ** (len(shape) - 1))


def nyquist_turns(shape: tuple[int, int], interleaves: int, center_density: float = 1.0) -> float:
    """The turns of each of so many interleaves at which neighbouring turns at the edge are one
    cycle per field of view apart.
    """
    _checked(shape, 2)
    _whole("interleaves", interleaves)
    return max(shape) * (1 + center_density) / (4 * interleaves)


def per_field_of_view(trajectory: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A trajectory (..., axes) from cycles per pixel to cycles per field of view of an image of
    `shape`.
    """
    return trajectory * torch.tensor(
        _checked(shape, trajectory.shape[-1]), dtype=trajectory.dtype, device=trajectory.device
    )


def per_pixel(trajectory: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A trajectory (..., axes) from cycles per field of view to cycles per pixel of an image of
    `shape`.
    """
    return trajectory / torch.tensor(
        _checked(shape, trajectory.shape[-1]), dtype=trajectory.dtype, device=trajectory.device
    )


def _diameter(samples: int) -> np.ndarray:
    """The sample positions of an axis or a spoke in cycles per pixel; the centre is sample
    `samples` // 2.
    """
    return (np.arange(samples) - samples // 2) / samples


def _points(*axes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(np.broadcast_arrays(*axes), axis=-1).reshape(-1, len(axes)))


def _real_root() -> float:
    """The real root of g^3 = g^2 + 1, by Newton's method from 1.5, where it has converged after six
    steps.
    """
    root = 1.5
    for _ in range(8):
        root -= (root**3 - root**2 - 1) / (3 * root**2 - 2 * root)
    return root


def _checked(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    sides = tuple(shape)
    if len(sides) != axes or any(int(side) != side or side < 1 for side in sides):
        raise InputError(f"shape: {sides} given; {axes} whole numbers from 1 on needed")
    return tuple(int(side) for side in sides)


def _whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} is {value!r}; a whole number from 1 on needed")


def _positive(name: str, value: float, unit: str) -> None:
    if not 0 < value < float("inf"):
        raise InputError(
            f"{name} is {value!r}; a positive number{' of ' + unit if unit else ''} needed"
        )
