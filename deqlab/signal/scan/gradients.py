"""How fast k-space can be travelled: what gradient amplitude and slew rate make of a curve, in
conventional units.

The position in k-space is the time integral of the gradient, so the speed along a curve is bounded
by the amplitude, and acceleration, also the one that bends the path, by the slew rate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from deqlab.core.errors import InputError

GAMMA = 42.577  # MHz/T, gyromagnetic ratio of the proton over 2 pi (CODATA)
POINTS_PER_TURN = 128


@dataclass(frozen=True)
class Gradients:
    """What a gradient system can do. amplitude: mT/m. slew: T/m/s. dwell: seconds from one sample
    to the next.

    The values are those of a usual clinical scanner, derated a little.
    """

    amplitude: float = 28.0
    slew: float = 140.0
    dwell: float = 2e-6

    def __post_init__(self) -> None:
        for name, unit in (("amplitude", "mT/m"), ("slew", "T/m/s"), ("dwell", "s")):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise InputError(
                    f"gradients: {name} is {value}; a positive number of {unit} needed"
                )

    @property
    def speed(self) -> float:
        """Fastest travel through k-space, in cycles/mm per second."""
        return GAMMA * 1e6 * self.amplitude * 1e-3 * 1e-3

    @property
    def acceleration(self) -> float:
        """Largest change of that velocity, in cycles/mm per second squared."""
        return GAMMA * 1e6 * self.slew * 1e-3


def travel(
    curve: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    turns: float,
    gradients: Gradients,
) -> np.ndarray:
    """The angles at which a spiral is sampled when it is run through from rest as fast as
    `gradients` allow, one for each dwell time.

    curve: angles in radians, (n,), to the radius there and its first and second derivatives by the
        angle, in cycles/mm.
    turns: where the curve ends.
    Result: float64 (samples,), from 0 to at most 2 pi turns.

    The velocity's limit at each point is the smaller of the amplitude's and the one at which the
    bend alone uses up the slew rate. What the bend leaves accelerates along the path. One sweep
    outwards is enough where the curve bends less and less, as spirals do.
    Source: time-optimal parametrisation of a given path, Lustig, Kim and Pauly, IEEE Trans Med
        Imaging 27:866 (2008), its outward half.
    """
    angle = np.linspace(0, 2 * np.pi * turns, int(np.ceil(turns * POINTS_PER_TURN)) + 2)
    radius, first, second = curve(angle)
    # The curve is radius exp(i angle); these are its derivatives by the angle, up to that common
    # factor.
    tangent, bend = first + 1j * radius, second - radius + 2j * first
    length = np.abs(tangent)
    curvature = np.abs((tangent.conj() * bend).imag) / length**3
    limit = np.minimum(gradients.speed, np.sqrt(gradients.acceleration / curvature))
    steps = (length[1:] + length[:-1]) / 2 * np.diff(angle)

    speed = np.zeros(len(angle))
    for point, step in enumerate(steps):
        inwards = min(speed[point] ** 2 * curvature[point] / gradients.acceleration, 1.0)
        along = gradients.acceleration * np.sqrt(1 - inwards**2)
        speed[point + 1] = min(limit[point + 1], np.sqrt(speed[point] ** 2 + 2 * along * step))
    times = np.concatenate(([0.0], np.cumsum(2 * steps / (speed[1:] + speed[:-1]))))
    # Cubic pieces, since the velocity has to be as continuous as the gradient that makes it.
    return CubicHermiteSpline(times, angle, speed / length)(
        np.arange(0, times[-1], gradients.dwell)
    )
