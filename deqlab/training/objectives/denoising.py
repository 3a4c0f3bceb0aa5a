"""Gaussian denoising: what an equilibrium's network learns before it meets any k-space."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm

from deqlab.core.options import Positive, option, options
from deqlab.core.rank import Rank
from deqlab.data.sample import Batch
from deqlab.networks.protocol import at_level
from deqlab.training.objectives.protocol import Logs, Objective, Phase, Step


@options
class Denoising(Objective):
    """Loss of R(x + noise) against x, the noise level drawn log-uniformly per slice (image maximum
    about 1).
    """

    levels: tuple[Positive, Positive] = option(
        (0.005, 0.1), "smallest and largest standard deviation of the noise"
    )
    relative: bool = option(
        False,
        "whether ||R(x + noise) - x|| / ||noise|| is minimised in place of the loss, so that weak"
        " noise counts as much as strong",
    )

    def phases(self, epochs: int, model: Any) -> list[Phase]:
        """One phase, on the images that are drawn for denoisers."""
        del model
        return [Phase("train", self, epochs, stream=0)]

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(loss of `model.denoiser`, {"loss"})."""
        clean = batch.known("reference")
        noisy, level = with_noise(clean, self.levels, step.generator(), step.rank)
        denoised = at_level(model.denoiser, level)(noisy)
        if self.relative:
            loss = left_of_noise(denoised, clean, noisy)
        else:
            loss = step.loss(denoised, clean)
        return loss, {"loss": loss.item()}


def with_noise(
    clean: Tensor, levels: tuple[float, float], generator: torch.Generator, rank: Rank = Rank()
) -> tuple[Tensor, Tensor]:
    """(images with complex noise, each of a standard deviation drawn log-uniformly between the
    levels; the standard deviation of its real and of its imaginary part, real (batch, 1, 1)).

    rank: whose share of a batch the images are.
    """
    low, high = levels
    uniform = partial(torch.rand, generator=generator)
    normal = partial(torch.randn, generator=generator, dtype=clean.dtype)
    sigma = low * (high / low) ** rank.drawn(uniform, (clean.shape[0], 1, 1))
    noise = rank.drawn(normal, clean.shape)
    return clean + (sigma * noise).to(clean.device), (sigma / math.sqrt(2)).to(clean.device)


def left_of_noise(denoised: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """The mean of ||denoised - clean|| / ||noisy - clean||, a real scalar."""
    axes = tuple(range(1, clean.ndim))
    error = vector_norm(denoised - clean, dim=axes)
    return (error / vector_norm(noisy - clean, dim=axes)).mean()


def log_uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A number between both, its logarithm drawn uniformly."""
    return low * math.exp(math.log(high / low) * float(torch.rand((), generator=generator)))
