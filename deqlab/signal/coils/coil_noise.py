"""Coils whose noise is far above that of the others, as of a broken preamplifier or a loose plug.

A coil with another gain has more noise and more signal alike, and whitening weighs it rightly. A
noisy one has more noise alone. In theory whitening weighs that rightly too; but its map is found
from samples that hold little else than noise, and is brought back into the image's shading.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# How many times the median coil's its noise is at least, and how many times its noise relative to
# its signal. A measured array of 17 coils has one of 8 and of 3 times, whose gain is another; of
# noise alone the second is 1, so that nothing is claimed where no coil sees anything.
FACTOR, SHARE = 10.0, 5.0
OUTERMOST, INNERMOST, FEWEST = 0.05, 0.003, 16  # shares of the samples, and how many at least


@dataclass(frozen=True)
class CoilNoise:
    """Of each coil, real (coil,): the median modulus of its outermost samples and of its innermost
    ones.
    """

    noise: Tensor
    signal: Tensor

    @property
    def factors(self) -> Tensor:
        """The noise over that of the median connected coil, real (coil,)."""
        return _over_median(self.noise)

    @property
    def noisy(self) -> list[int]:
        """The coils whose noise is far above the others' and whose signal is not alike; none where
        there are fewer than three to compare.
        """
        if int((self.noise > 0).sum()) < 3:
            return []
        share = _over_median(self.noise / self.signal.clamp_min(torch.finfo().tiny))
        return torch.nonzero((self.factors > FACTOR) & (share > SHARE)).flatten().tolist()


def coil_noise(samples: Tensor, radius: Tensor) -> CoilNoise:
    """Noise and signal of every coil.

    samples: complex (coil, n), those that were measured, n >= 1. radius: real (n,), how far from
    the centre of k-space.
    """
    count = samples.shape[1]
    order = radius.argsort(stable=True)
    outer = order[-min(count, max(FEWEST, round(OUTERMOST * count))) :]
    inner = order[: min(count, max(FEWEST, round(INNERMOST * count)))]
    return CoilNoise(
        samples[:, outer].abs().median(1).values, samples[:, inner].abs().median(1).values
    )


def grid_radius(shape: tuple[int, int]) -> Tensor:
    """Of every sample of a grid, real `shape`: its distance from the middle, where half a side
    is 1.
    """
    y, x = ((torch.arange(side, dtype=torch.float32) - side // 2) / (side / 2) for side in shape)
    return (y[:, None].square() + x.square()).sqrt()


def _over_median(values: Tensor) -> Tensor:
    connected = values[values > 0]
    return values / connected.median() if len(connected) else values
