"""DE-Grad whose weight follows the measurement: from its noise and its acceleration.

One weight for all scans stands up to a decibel below the best weight of each: more noise wants more
of the denoiser, and so do fewer data. The map and its equilibria are those of DE-Grad
(`deqlab.recon.deq.de_grad`).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.options import Number, Positive, option, options
from deqlab.operators import CartesianOperator
from deqlab.recon.base import CARTESIAN, Takes
from deqlab.recon.deq.de_grad import DEGrad, DEGradOptions, GradientMap, PreconditionedMap
from deqlab.signal.sampling.noise_level import noise_level

# Noise below and above these shares of max |A^H y| is taken for them.
LEAST_NOISE, MOST_NOISE = 1e-3, 0.1

# Noise and acceleration at which the weight is the one that the options name.
USUAL_NOISE, USUAL_ACCELERATION = 0.01, 4.0


@options
class MeasuredDEGradOptions(DEGradOptions):
    """The architecture of `MeasuredDEGrad`."""

    weight: Positive = option(
        0.2, "of the denoiser against the data at 1 % noise and 4x to begin with; it is learned"
    )
    powers: tuple[Number, Number] = option(
        (0.0, 0.0),
        "of noise and of acceleration, with which the weight grows to begin with; they are learned",
    )
    strength: Positive = option(1.0, "factor of every weight, for a user's own taste")


class MeasuredDEGrad(DEGrad):
    """DE-Grad with weight = strength exp(a + b log(sigma / 0.01) + c log(acceleration / 4)), one
    for each sample; a, b and c are learned. Its arguments are `MeasuredDEGradOptions`.

    sigma: the noise of `noise_level` relative to max |A^H y|. acceleration: positions of the grid
    over measured ones. Off the grid neither of the two means the same, so other operators are
    refused.
    """

    Options = MeasuredDEGradOptions
    takes: ClassVar[Takes] = CARTESIAN

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.powers = nn.Parameter(torch.tensor(self.options.powers, dtype=torch.float32))

    def scalars(self) -> dict[str, float]:
        """The step and the rule."""
        noise, acceleration = self.powers.tolist()
        rule = {"weight": self.log_weight.exp().item()}
        return super().scalars() | rule | {"of noise": noise, "of acceleration": acceleration}

    def weight_for(self, kspace: Tensor, A: CartesianOperator, projection: Tensor) -> Tensor:
        """The weight of each sample, real (batch, 1, 1). projection: A^H y. InputError for an
        operator off the grid.
        """
        self.takes.check(A, type(self).__name__)
        peak = projection.detach().abs().amax((-2, -1))
        noise = noise_level(kspace, A.mask) / peak.clamp_min(torch.finfo(peak.dtype).tiny)
        noise = noise.clamp(LEAST_NOISE, MOST_NOISE) / USUAL_NOISE
        share = A.mask.to(noise).mean((1, 2, 3)).clamp_min(torch.finfo(noise.dtype).tiny)
        acceleration = 1 / (share * USUAL_ACCELERATION)
        of_noise, of_acceleration = self.powers
        logarithm = self.log_weight + of_noise * noise.log() + of_acceleration * acceleration.log()
        return self.options.strength * logarithm.exp().reshape(-1, 1, 1)

    def fixed_point_map(self, kspace: Tensor, A: Any) -> GradientMap:
        """f(x) = x - eta (A^H (A x - y) + weight (x - R(x)))."""
        projection = A.H(kspace)
        weight = self.weight_for(kspace, A, projection)
        return GradientMap(projection, A, self.denoiser, self.step, weight)

    def iterated_map(self, kspace: Tensor, A: Any) -> PreconditionedMap:
        """f(x) = x - eta P (A^H (A x - y) + weight (x - R(x))), P near (A^H A + weight)^-1."""
        projection = A.H(kspace)
        weight, largest = self.weight_for(kspace, A, projection), A.squared_norm(projection)
        return PreconditionedMap(projection, A, self.denoiser, self.step, weight, largest=largest)
