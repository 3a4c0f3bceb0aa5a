"""Density weights belong to their trajectory: smoothed over a Cartesian sample, as one step of Pipe
and Menon's iteration does it, they make an even density where samples have neighbours.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from deqlab.core.options import Positive, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import OffGridVolume, Volume
from deqlab.operators.gridding import density_weights

NEIGHBOURS = 1.5  # times the density of the loneliest sample; beyond are samples with neighbours
FEWEST = 64  # samples with neighbours; fewer say little, as those of a handful of spokes
LARGEST = (
    0.36  # passes: honest weights reach 0.34 (a ramp on a spiral), their squares begin at 0.38
)


@dataclass(frozen=True)
class _Weighing:
    """What an unevenness is of; equal by content."""

    digest: bytes
    density: Tensor = field(compare=False)
    trajectory: Tensor = field(compare=False)
    shape: tuple[int, int]


def contradicts(volume: OffGridVolume, index: int, largest: float = LARGEST) -> bool:
    """Whether a slice has density weights that its trajectory contradicts; computed once for all
    slices that share both.
    """
    density = volume.density(index)
    if density is None:
        return False
    trajectory = volume.trajectory(index)
    digest = hashlib.sha256(density.numpy().tobytes() + trajectory.numpy().tobytes()).digest()
    return _known(_Weighing(digest, density, trajectory, volume.recon_shape)) > largest


@lru_cache(maxsize=16)
def _known(asked: _Weighing) -> float:
    return unevenness(asked.density, asked.trajectory, asked.shape)


def unevenness(density: Tensor, trajectory: Tensor, shape: tuple[int, int]) -> float:
    """Standard deviation of the logarithm of the smoothed density of weights `density`, real
    (samples,), over samples with neighbours; 0 where these are few.

    trajectory: real (samples, 2) in cycles per pixel. About 0.1 for weights that fit.
    """
    ones = torch.ones_like(density)
    crowd = 1 / density_weights(trajectory, shape, 1, ones)
    alone = crowd.min().clamp_min(1e-12)
    asked = (density > 0) & (crowd > NEIGHBOURS * alone)
    if int(asked.sum()) < FEWEST:
        return 0.0
    smoothed = density / density_weights(trajectory, shape, 1, density).clamp_min(1e-300)
    return float(smoothed[asked].log().std())


@options
class DensityFits(Check):
    """Weights that fit no better than those of 1 do are others: the density itself, whose
    reciprocal the weights are, or their square.
    """

    of: ClassVar[type[Any]] = OffGridVolume
    largest: Positive = option(LARGEST, "unevenness of the density that passes")

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """Weights that contradict the trajectory."""
        assert isinstance(volume, OffGridVolume)
        if contradicts(volume, seen.index, self.largest):
            yield Finding(
                Severity.WARNING,
                "density is not that of the trajectory: weights are needed, the share of k-space"
                " of each sample",
                "it is not used, and weights are computed from the trajectory",
            )
