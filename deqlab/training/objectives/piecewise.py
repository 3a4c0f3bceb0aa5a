"""A network trained piece by piece: each step of it when those before it are done."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.data.sample import Batch
from deqlab.recon.unrolled.base import Unrolled
from deqlab.training.objectives.protocol import Logs, Objective, Phase, Step


@options
class Piecewise(Objective):
    """Loss of the image after one step of an unrolled network, whose earlier steps are frozen and
    whose later ones are not looked at; step after step, each for all epochs.

    T. Eo et al., KIKI-net, MRM 80 (2018), section on training.
    """

    piece: Count | None = option(
        None, "number of the one step that is trained; None for one after the other"
    )

    def phases(self, epochs: int, model: Any) -> list[Phase]:
        """One phase for each step, or that of `piece` alone."""
        pieces = range(1, model.iterations + 1) if self.piece is None else (self.piece,)
        return [Phase(f"piece {n}", replace(self, piece=n), epochs) for n in pieces]

    def attach(self, model: Any) -> None:
        """InputError for a model without steps, or without the step that is asked for."""
        if not isinstance(model, Unrolled):
            raise InputError(
                f"piecewise: {type(model).__name__} gives its image at once and has no pieces"
            )
        if self.piece is not None and self.piece > model.depth:
            raise InputError(
                f"piece: {self.piece} given, but {type(model).__name__} has {model.depth} of them"
            )

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(loss of the image after `piece`, or after the last step, {"loss"})."""
        piece = model.depth if self.piece is None else self.piece
        *_, image = model.images(batch.kspace, batch.operator, piece, frozen=piece - 1)
        loss = step.loss(image, batch.known("reference"))
        return loss, {"loss": loss.item()}
