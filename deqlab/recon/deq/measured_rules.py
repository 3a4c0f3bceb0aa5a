"""What a measurement says of itself, its noise and its acceleration, and rules that follow them.

More noise wants more of the denoiser, and so do fewer data; one number for all scans stands up to a
decibel below the best number of each.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, LinearOperator, OffResonance
from deqlab.operators.noncartesian import NonCartesianOperator
from deqlab.signal.sampling.noise_level import noise_level, noise_level_off_grid

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


def measure(kspace: Tensor, A: LinearOperator, projection: Tensor) -> Measured:
    """What the samples y, complex (batch, coil, y, x) or off the grid (batch, coil, samples), say
    of themselves.

    projection: A^H y, complex (batch, y, x). Noise is that of `noise_level`, relative to the
    projection's peak; acceleration is positions of the grid over measured ones. Off the grid it is
    the noise and the number of samples that have the same share in A^H y: sigma^2 sum w^2 / sum w
    and sum min(w, 1) for weights w, the share of k-space of each sample in positions of the grid.
    InputError for an operator that measures no k-space.
    """
    if isinstance(A, CartesianOperator):
        sigma = noise_level(kspace, A.mask)
        share = A.mask.to(sigma).mean((1, 2, 3))
    else:
        sigma, share = _off_the_grid(kspace, A)
    least = torch.finfo(sigma.dtype).tiny
    peak = projection.detach().abs().amax((-2, -1))
    noise = (sigma / peak.clamp_min(least)).clamp(LEAST_NOISE, MOST_NOISE) / USUAL_NOISE
    acceleration = 1 / (share.clamp_min(least) * USUAL_ACCELERATION)
    shape = (-1, 1, 1)
    return Measured(
        peak.reshape(shape), noise.log().reshape(shape), acceleration.log().reshape(shape)
    )


def _off_the_grid(kspace: Tensor, A: LinearOperator) -> tuple[Tensor, Tensor]:
    """Noise of A^H y as a sample of the grid would have it, and the share of the grid that is
    measured: real (batch,) and (batch | 1,).
    """
    inner = A.fourier if isinstance(A, OffResonance) else A
    if not isinstance(inner, NonCartesianOperator):
        raise InputError(f"{type(A).__name__} given, an operator that measures k-space needed")
    ones = inner.trajectory.new_ones(1, inner.samples)
    weights = (ones if inner.weights is None else inner.weights).to(kspace.real)
    sigma = noise_level_off_grid(kspace, weights, inner.trajectory)
    total = weights.sum(1).clamp_min(torch.finfo(sigma.dtype).tiny)
    sigma = sigma * (weights.square().sum(1) / total).sqrt()
    return sigma, weights.clamp_max(1).sum(1) / math.prod(inner.shape)
