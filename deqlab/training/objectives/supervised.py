"""The error of an image that a network gives at once, or after a fixed number of steps."""

from typing import Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Share, option, options
from deqlab.data.sample import Batch
from deqlab.recon.unrolled.base import Unrolled
from deqlab.training.objectives.protocol import Logs, Objective, Step

FIRST = (
    "weight in the loss of the image after the first step, where that of the last is 1 and those"
    " between grow by one factor; 0 for the last image alone"
)


@options
class Supervised(Objective):
    """Loss of the image against the reference: what unrolled and direct networks learn from."""

    checkpointing: bool = option(
        False,
        "keep only the images between steps, and compute each step again in the backward pass",
    )
    first: Share = option(0.0, FIRST)

    def attach(self, model: Any) -> None:
        """The model keeps what it is told to; InputError for what asks for steps where it has
        none.
        """
        if isinstance(model, Unrolled):
            model.checkpointing = self.checkpointing
            return
        for name, wanted in (("checkpointing", self.checkpointing), ("first", self.first)):
            if wanted:
                raise InputError(
                    f"{name}: {wanted} given, but {type(model).__name__} gives its image at once"
                    " and has no steps"
                )

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(the mean of the losses by their weights, {"loss" of the last image})."""
        reference = batch.known("reference")
        if self.first == 0:
            loss = step.loss(model(batch.kspace, batch.operator), reference)
            return loss, {"loss": loss.item()}
        _, *images = model.images(batch.kspace, batch.operator)
        weights = growing(self.first, len(images))
        losses = torch.stack([step.loss(image, reference) for image in images])
        total = (losses * losses.new_tensor(weights)).sum() / sum(weights)
        return total, {"loss": losses[-1].item()}


@options
class EveryStep(Supervised):
    """As `Supervised`, with the image after every step in the loss: what recurrent networks learn
    from, whose last image comes of all steps.

    K. Lonning et al., Recurrent inference machines for reconstructing heterogeneous MRI data, MedIA
    53 (2019); with first = 1 P. Putzky and M. Welling, arXiv:1706.04008.
    """

    first: Share = option(0.1, FIRST)


def growing(first: float, count: int) -> list[float]:
    """`count` numbers from `first` to 1, each the same multiple of the one before it; 1 where there
    is one alone.
    """
    return [first ** ((count - 1 - index) / max(1, count - 1)) for index in range(count)]
