"""Which contradictions are looked for. One line a check."""

from collections.abc import Iterator

from deqlab.core.registry import Registry
from deqlab.data.examine.coil_axis import CoilAxis
from deqlab.data.examine.density_fits import DensityFits
from deqlab.data.examine.echo import EchoInTheMiddle
from deqlab.data.examine.header_fits import HeaderFits
from deqlab.data.examine.marked_samples import MarkedSamples
from deqlab.data.examine.noisy_coil import NoisyCoil
from deqlab.data.examine.protocol import Check, Finding
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.examine.spikes import Spikes
from deqlab.data.examine.trajectory_reach import EchoOfTrajectory, TrajectoryReach
from deqlab.data.examine.unmarked_samples import UnmarkedSamples
from deqlab.data.formats.protocol import Volume

CHECKS: Registry[Check] = Registry(
    "check",
    {
        "header": HeaderFits,
        "coil-axis": CoilAxis,
        "unmarked": UnmarkedSamples,
        "marked": MarkedSamples,
        "spikes": Spikes,
        "noisy-coil": NoisyCoil,
        "echo": EchoInTheMiddle,
        "reach": TrajectoryReach,
        "echo-of-trajectory": EchoOfTrajectory,
        "density": DensityFits,
    },
)


def facts_of(volume: Volume) -> Iterator[Finding]:
    """What all checks find in the facts of a volume."""
    for check in map(CHECKS.make, CHECKS):
        if isinstance(volume, check.of):
            yield from check.facts(volume)


def samples_of(volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
    """What all checks find in the samples of a slice of it."""
    for check in map(CHECKS.make, CHECKS):
        if isinstance(volume, check.of):
            yield from check.samples(volume, seen)
