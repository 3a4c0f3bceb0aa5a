"""Gaussian denoising: what an equilibrium's network learns before it meets any k-space."""

from typing import Any

import torch
from torch import Tensor

from deqlab.core.options import Positive, option, options
from deqlab.data.sample import Batch
from deqlab.training.objectives.protocol import Logs, Objective, Step


@options
class Denoising(Objective):
    """Loss of R(x + noise) against x, the noise level drawn log-uniformly per slice (image maximum
    about 1).
    """

    levels: tuple[Positive, Positive] = option(
        (0.005, 0.1), "smallest and largest standard deviation of the noise"
    )

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(loss of `model.denoiser`, {"loss"})."""
        generator, clean = step.generator(), batch.known("reference")
        low, high = self.levels
        sigma = low * (high / low) ** torch.rand(clean.shape[0], 1, 1, generator=generator)
        noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
        loss = step.loss(model.denoiser(clean + (sigma * noise).to(clean.device)), clean)
        return loss, {"loss": loss.item()}
