"""What a measurement says of itself, its noise and its acceleration, and rules that follow them.

More noise wants more of the denoiser, and so do fewer data; one number for all scans stands up to a
decibel below the best number of each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.operators import CartesianOperator
from deqlab.signal.sampling.noise_level import noise_level

# Noise below and above these shares of max |A^H y| is taken for them.
LEAST_NOISE, MOST_NOISE = 1e-3, 0.1

# Noise and acceleration at which a rule gives the number that the options name.
USUAL_NOISE, USUAL_ACCELERATION = 0.01, 4.0


@dataclass(frozen=True)
class Measured:
    """What the rules know of each sample, real (batch, 1, 1). peak: max |A^H y|; noise and
    acceleration: logarithms, relative to the usual ones.
    """

    peak: Tensor
    noise: Tensor
    acceleration: Tensor

    def rule(self, logarithm: Tensor, powers: Tensor) -> Tensor:
        """exp(a + b log(noise / 0.01) + c log(acceleration / 4))."""
        of_noise, of_acceleration = powers
        return (logarithm + of_noise * self.noise + of_acceleration * self.acceleration).exp()


def measure(kspace: Tensor, A: CartesianOperator, projection: Tensor) -> Measured:
    """What the samples y of a Cartesian grid, complex (batch, coil, y, x), say of themselves.

    projection: A^H y, complex (batch, y, x). Noise is that of `noise_level`, relative to the
    projection's peak; acceleration is positions of the grid over measured ones.
    """
    peak = projection.detach().abs().amax((-2, -1))
    noise = noise_level(kspace, A.mask) / peak.clamp_min(torch.finfo(peak.dtype).tiny)
    noise = noise.clamp(LEAST_NOISE, MOST_NOISE) / USUAL_NOISE
    share = A.mask.to(noise).mean((1, 2, 3)).clamp_min(torch.finfo(noise.dtype).tiny)
    acceleration = 1 / (share * USUAL_ACCELERATION)
    shape = (-1, 1, 1)
    return Measured(
        peak.reshape(shape), noise.log().reshape(shape), acceleration.log().reshape(shape)
    )
