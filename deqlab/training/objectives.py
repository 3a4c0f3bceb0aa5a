"""What one training step minimises: first denoising, then the equilibrium's own error and penalties
that keep it an equilibrium.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deqlab.data.sample import Sample
from deqlab.equilibrium import jacobian_penalty
from deqlab.equilibrium.measure import expansion, worst_direction
from deqlab.losses.image_losses import loss_by_name
from deqlab.training.config import TrainingConfig

NOISE_LEVELS = (0.005, 0.1)

Objective = Callable[[nn.Module, Sample, TrainingConfig, int], tuple[Tensor, dict[str, float]]]


def denoising(
    model: nn.Module, batch: Sample, config: TrainingConfig, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Loss of R(x + noise) against x, the noise level drawn log-uniformly per slice from
    NOISE_LEVELS (image maximum about 1).
    """
    generator = torch.Generator().manual_seed(step)
    clean = batch.reference
    low, high = NOISE_LEVELS
    sigma = low * (high / low) ** torch.rand(clean.shape[0], 1, 1, generator=generator)
    noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    loss = loss_by_name(config.loss)(
        model.denoiser(clean + (sigma * noise).to(clean.device)), clean
    )
    return loss, {"loss": loss.item()}


def equilibrium(
    model: nn.Module, batch: Sample, config: TrainingConfig, step: int
) -> tuple[Tensor, dict[str, float]]:
    """Loss of the equilibrium against the reference, plus the penalties with a weight; logs the
    converged share and the evaluations.
    """
    solution = model.equilibrium(batch.kspace, batch.operator)
    loss = loss_by_name(config.loss)(solution.value, batch.reference)
    logs = {
        "loss": loss.item(),
        "converged": solution.converged.float().mean().item(),
        "evaluations": solution.evaluations.float().mean().item(),
        "residual": solution.residual.mean().item(),
    }
    if config.hinge == 0 and config.jacobian == 0:
        return loss, logs
    f = model.iterated_map(batch.kspace, batch.operator).as_one_image()
    x = f.state(solution.value).detach()
    if config.hinge > 0:
        ratio = _stretch(f, x, config)
        logs["expansion"] = ratio.mean().item()
        loss = loss + config.hinge * (ratio - config.hinge_bound).clamp_min(0).square().mean()
    if config.jacobian > 0:
        size = jacobian_penalty(f, x, generator=torch.Generator().manual_seed(step)).mean()
        logs["jacobian"] = size.item()
        loss = loss + config.jacobian * size
    return loss, logs


def _stretch(f: Callable[[Tensor], Tensor], x: Tensor, config: TrainingConfig) -> Tensor:
    """How much f stretches its slowest mode about x, real (batch,)."""
    fx = f(x)
    radius = config.hinge_radius * torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
    # What the solve left over points along the slowest modes, which a few power iterations from
    # noise do not find.
    direction = worst_direction(
        f, x, fx.detach(), radius, config.hinge_iterations, start=fx.detach() - x
    )
    return expansion(f, x, fx, direction)


OBJECTIVES: dict[str, Objective] = {"pretrain": denoising, "train": equilibrium}
