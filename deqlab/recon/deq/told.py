"""A model with a step whose denoiser is told how much noise there is to remove.

Where R stands in for a proximal operator, the noise that it removes is all that says how smooth an
image has to be: a level that follows the measurement is what a regularisation weight is elsewhere.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Number, Positive, adjustable, option, options
from deqlab.networks.along_lines import along_lines
from deqlab.networks.protocol import at_level
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.recon.base import KSPACE
from deqlab.recon.deq.base import (
    MAX_EVALUATIONS,
    TOLERANCE,
    SteppedOptions,
    SteppedReconstructor,
    log_parameter,
)
from deqlab.recon.deq.measured_rules import measure

# Of networks that are told of the noise: at 1e-3 their images still stand some tenths of a decibel
# below their equilibria.
FINER, LONGER = 3e-4, 100


@options
class ToldOptions(SteppedOptions):
    """The architecture of a model whose denoiser may be told of the noise."""

    level: Positive | None = option(
        None,
        "noise that the denoiser is told of at 1 % noise and 4x to begin with, relative to max"
        " |A^H y|; it is learned; None to tell it nothing",
    )
    level_powers: tuple[Number, Number] = option(
        (0.5, 0.5), "of noise and of acceleration, with which the level grows to begin with"
    )
    strength: Positive = adjustable(1.0, "factor of the level, for a user's own taste")

    def __post_init__(self) -> None:
        if self.level is None and self.strength != 1.0:
            raise InputError(
                f"strength: {self.strength} given, 1 needed for a denoiser that is told of no level"
            )


class ToldReconstructor(SteppedReconstructor):
    """A model with a step eta whose denoiser, where `level` is given, is told of
    strength exp(a + b log(sigma / 0.01) + c log(acceleration / 4)) max |A^H y| of noise, for each
    sample of its own; a, b and c are learned. See `deqlab.recon.deq.measured_rules`.
    """

    def __init__(
        self,
        *values: Any,
        tolerance: float | None = None,
        max_evaluations: int | None = None,
        **named: Any,
    ):
        super().__init__(*values, **named)
        told = self.options.level is not None
        usual = (FINER, LONGER) if told else (TOLERANCE, MAX_EVALUATIONS)
        self.tolerance = usual[0] if tolerance is None else tolerance
        self.max_evaluations = usual[1] if max_evaluations is None else max_evaluations
        if told:
            # What a class promises, narrowed for this object: its rule looks at k-space.
            self.takes = KSPACE  # type: ignore[misc]
            self.log_level = log_parameter("level", self.options.level)
            powers = torch.tensor(self.options.level_powers, dtype=torch.float32)
            self.level_powers = nn.Parameter(powers)

    def scalars(self) -> dict[str, float]:
        """The step, and the rule of the level where there is one."""
        found = super().scalars()
        if self.options.level is None:
            return found
        found |= {"level": self.log_level.exp().item()}
        return found | dict(
            zip(("level of noise", "level of acceleration"), self.level_powers.tolist())
        )

    def told(
        self, kspace: Tensor, A: LinearOperator, projection: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """The denoiser for these measurements. InputError for an operator that measures no k-space
        where a level follows the measurement.
        """
        if self.options.level is None:
            return self.denoiser
        self.takes.check(A, type(self).__name__)
        measured = measure(kspace, A, projection)
        level = measured.peak * measured.rule(self.log_level, self.level_powers)
        told = at_level(self.denoiser, self.options.strength * level)
        return along_lines(told, A.mask) if isinstance(A, CartesianOperator) else told
