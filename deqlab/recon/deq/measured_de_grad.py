"""DE-Grad whose weight follows the measurement: from its noise and its acceleration.

One weight for all scans stands up to a decibel below the best weight of each: more noise wants more
of the denoiser, and so do fewer data. The map and its equilibria are those of DE-Grad
(`deqlab.recon.deq.de_grad`).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.options import Number, Positive, adjustable, option, options
from deqlab.networks.along_lines import along_lines
from deqlab.networks.protocol import at_level
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.operators.gridding import density_weighted
from deqlab.recon.base import KSPACE, Takes
from deqlab.recon.deq.base import log_parameter
from deqlab.recon.deq.de_grad import DEGrad, DEGradOptions, GradientMap, PreconditionedMap
from deqlab.recon.deq.measured_rules import Measured, measure

# Where 1e-3 stops, images at 8x still stand some tenths of a decibel below their equilibria.
TOLERANCE, MAX_EVALUATIONS = 3e-4, 100


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
    level: Positive = option(
        0.02,
        "noise that the denoiser is told of at 1 % noise and 4x to begin with, relative to max"
        " |A^H y|; it is learned",
    )
    level_powers: tuple[Number, Number] = option(
        (0.5, 0.5), "those of the level to begin with; they are learned"
    )
    strength: Positive = adjustable(
        1.0, "factor of weight and level, for a user's own taste: less of the denoiser, or more"
    )


class MeasuredDEGrad(DEGrad):
    """DE-Grad with weight = strength exp(a + b log(sigma / 0.01) + c log(acceleration / 4)), one
    for each sample; a, b and c are learned. A denoiser that can be told of the noise is told of a
    level that follows another rule of that form, times max |A^H y|: where nothing was measured the
    weight says nothing, and the level alone how smooth an image has to be. Where rows of k-space
    are left out instead of columns it sees the image transposed. Its arguments are
    `MeasuredDEGradOptions`.

    sigma: the noise of `noise_level` relative to max |A^H y|. acceleration: positions of the grid
    over measured ones. Off the grid see `measured_rules.measure`; samples that have no density
    weights there are given them.
    """

    Options = MeasuredDEGradOptions
    takes: ClassVar[Takes] = KSPACE

    def __init__(
        self,
        *values: Any,
        tolerance: float = TOLERANCE,
        max_evaluations: int = MAX_EVALUATIONS,
        **named: Any,
    ):
        super().__init__(*values, tolerance=tolerance, max_evaluations=max_evaluations, **named)
        self.powers = nn.Parameter(torch.tensor(self.options.powers, dtype=torch.float32))
        self.log_level = log_parameter("level", self.options.level)
        self.level_powers = nn.Parameter(
            torch.tensor(self.options.level_powers, dtype=torch.float32)
        )

    def scalars(self) -> dict[str, float]:
        """The step and the rules."""
        found = super().scalars() | {"weight": self.log_weight.exp().item()}
        found |= dict(zip(("of noise", "of acceleration"), self.powers.tolist()))
        found |= {"level": self.log_level.exp().item()}
        return found | dict(
            zip(("level of noise", "level of acceleration"), self.level_powers.tolist())
        )

    def measured(self, kspace: Tensor, A: LinearOperator, projection: Tensor) -> Measured:
        """What the rules want to know. projection: A^H y. InputError for an operator that measures
        no k-space.
        """
        self.takes.check(A, type(self).__name__)
        return measure(kspace, A, projection)

    def _parts(self, kspace: Tensor, given: LinearOperator) -> tuple[Any, ...]:
        """A^H y, A, the denoiser, the step and the weight."""
        kspace, given = density_weighted(kspace, given)
        A = self.seen(kspace, given)
        projection = A.H(kspace)
        measured = self.measured(kspace, given, projection)
        strength = self.options.strength
        level = strength * measured.peak * measured.rule(self.log_level, self.level_powers)
        weight = strength * measured.rule(self.log_weight, self.powers)
        return projection, A, self._told(level, given), self.step, weight

    def _told(self, level: Tensor, A: LinearOperator) -> Any:
        """The denoiser for these measurements."""
        told = at_level(self.denoiser, level)
        return along_lines(told, A.mask) if isinstance(A, CartesianOperator) else told

    def fixed_point_map(self, kspace: Tensor, A: Any) -> GradientMap:
        """f(x) = x - eta (A^H (A x - y) + weight (x - R(x)))."""
        return GradientMap(*self._parts(kspace, A))

    def iterated_map(self, kspace: Tensor, A: Any) -> PreconditionedMap:
        """f(x) = x - eta P (A^H (A x - y) + weight (x - R(x))), P near (A^H A + weight)^-1."""
        parts = self._parts(kspace, A)
        return PreconditionedMap(*parts, largest=parts[1].squared_norm(parts[0]))
