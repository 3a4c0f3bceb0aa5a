"""The error of an image that a network gives at once, or after a fixed number of steps."""

from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deqlab.core.options import option, options
from deqlab.data.sample import Batch
from deqlab.training.objectives.protocol import Logs, Objective, Step


@options
class Supervised(Objective):
    """Loss of the image against the reference: what unrolled and direct networks learn from."""

    checkpointing: bool = option(
        False, "compute activations again in the backward pass instead of keeping them"
    )

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(loss, {"loss"})."""
        if self.checkpointing:
            image = checkpoint(model, batch.kspace, batch.operator, use_reentrant=False)
        else:
            image = model(batch.kspace, batch.operator)
        loss = step.loss(image, batch.known("reference"))
        return loss, {"loss": loss.item()}
