"""Training draws of volumes: small simulated heads along radial spokes of a sphere, measured as
files off the grid are.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from torch import Tensor

from deqlab.core.rank import Rank
from deqlab.data.sample import Batch, Sample, collate
from deqlab.data.simulated import CONTRASTS, SimulationConfig, head_images
from deqlab.data.varied.off_grid_measurements import measured, weighted_fourier
from deqlab.operators import NUFFTOperator
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.trajectories import RadialVolume, nyquist_spokes


@dataclass(frozen=True)
class HeadVolumes:
    """Draws that are a function of (seed, step, index) alone.

    seed: of all draws. heads: numbers of those to draw from, which are equal wherever the numbers
    are. side: pixels along each axis. accelerations: spokes that Nyquist's rate asks for, over
    measured ones; any of these. coils: of the scan. noise: standard deviation relative to the
    volume's peak, drawn logarithmically.
    """

    seed: int
    heads: range = range(16)
    side: int = 32
    accelerations: tuple[float, ...] = (3.0, 6.0, 10.0)
    coils: int = 2
    noise: tuple[float, float] = (0.001, 0.03)

    def sample(self, step: int, index: int = 0) -> Sample:
        """One measurement; its reference has no noise. Those of a step share their spokes."""
        shared = np.random.default_rng([self.seed, step])
        random = np.random.default_rng([self.seed, step, index, 1])
        rate = float(shared.choice(self.accelerations))
        image = head(int(random.choice(self.heads)), self.side)
        maps = simulate_coil_maps(self.coils, (self.side,) * 2, int(random.integers(2**31)))
        maps = maps[:, None].expand(-1, self.side, -1, -1)
        level = math.exp(random.uniform(*np.log(self.noise)))
        F = spokes(self.side, rate)
        return measured(image, maps, F, level, random, f"volume {step}.{index}")

    def batch(self, stream: int, step: int, rank: Rank = Rank()) -> Batch:
        """The one sample of a step, of whatever stream."""
        return collate(rank.part([self.sample(step)]))


@lru_cache(maxsize=64)
def head(number: int, side: int) -> Tensor:
    """A simulated head as a volume, complex64 (z, y, x) of peak modulus 1; contrasts take turns."""
    anatomy, physics = (np.random.default_rng([number, part, 0xD]) for part in range(2))
    config = SimulationConfig(matrix=side, slices=side)
    images = head_images(config, CONTRASTS[number % len(CONTRASTS)], anatomy, physics)
    return images / images.abs().max()


@lru_cache(maxsize=8)
def spokes(side: int, acceleration: float) -> NUFFTOperator:
    """The weighted transform along golden-means spokes, so many times fewer than Nyquist's."""
    shape = (side, side, side)
    count = max(1, round(nyquist_spokes(shape) / acceleration))
    return weighted_fourier(RadialVolume(count).sample(shape), shape)
