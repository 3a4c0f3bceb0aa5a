"""The equilibrium's own error, and penalties that keep it an equilibrium and R a denoiser."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.linalg import vector_norm

from deqlab.core.errors import InputError
from deqlab.core.options import Count, NonNegative, Positive, Whole, option, options
from deqlab.data.sample import Batch
from deqlab.equilibrium import JacobianFree, jacobian_penalty
from deqlab.equilibrium.measure import expansion, worst_direction
from deqlab.equilibrium.registry import GRADIENTS
from deqlab.networks.protocol import at_level
from deqlab.solvers import Anderson
from deqlab.solvers.registry import SOLVERS
from deqlab.training.objectives.denoising import Denoising, left_of_noise, log_uniform, with_noise
from deqlab.training.objectives.protocol import Logs, Objective, Phase, Step

# Uses of a step's random numbers, beside 0: the penalty on the Jacobian.
NOISE, BUDGET = 1, 2


@options
class EquilibriumError(Objective):
    """Loss of the equilibrium against the reference, plus the penalties with a weight; logs the
    converged share and the evaluations.

    The hinge is a penalty on max(0, ||f(x + d) - f(x)|| / ||d|| - hinge_bound)^2 along a direction
    d found by power iterations that start at the residual which the solve left, with ||d|| =
    hinge_radius ||x||: what keeps the trained map contracting about its fixed point. The Jacobian
    penalty speaks of all directions at once, where the hinge looks for the worst.

    Trained by its equilibria alone, R is pinned down only there, and elsewhere does what it likes:
    `keep` holds it to be a denoiser at the true images, and `shortest` lets it be seen at the
    iterates on the way. With the gradient `unrolled`, the loss sees the last k evaluations and not
    only one of them: what it then teaches is to arrive, from wherever a solve has led.
    """

    pretrain_epochs: Whole = option(2, "epochs in which the denoiser learns from Gaussian noise")
    solver: Annotated[Any, SOLVERS] = option(Anderson(memory=5), "of the equilibrium in training")
    tolerance: NonNegative = option(1e-3, "relative residual at which the solve stops")
    max_evaluations: Count = option(40, "most evaluations of a solve")
    shortest: Count | None = option(
        None,
        "fewest evaluations of a solve, whose number is drawn log-uniformly per step; None for"
        " `max_evaluations` always",
    )
    gradient: Annotated[Any, GRADIENTS] = option(
        JacobianFree(), "rule by which the equilibrium is differentiated"
    )
    hinge: NonNegative = option(1.0, "weight of the hinge; 0 for none")
    hinge_bound: Positive = option(0.9, "stretch that costs nothing")
    hinge_iterations: Whole = option(4, "power iterations")
    hinge_radius: Positive = option(0.05, "length of the perturbation relative to the image")
    jacobian: NonNegative = option(
        0.0, "weight of the mean squared singular value of the map's Jacobian; 0 for none"
    )
    still: NonNegative = option(
        0.0,
        "weight of ||f(x) - x|| / ||x|| at the image x that the loss looks at, with its gradient in"
        " both: f shall come to rest within the budget, wherever a solve has led; 0 for none",
    )
    keep: NonNegative = option(
        0.0, "weight of ||R(t + noise) - t|| / ||noise|| at the reference t; 0 for none"
    )
    keep_levels: tuple[Positive, Positive] = option(
        (0.005, 0.1), "smallest and largest standard deviation of that noise, drawn log-uniformly"
    )

    def __post_init__(self) -> None:
        if self.shortest is not None and self.shortest > self.max_evaluations:
            raise InputError(
                f"shortest: {self.shortest} given, at most max_evaluations"
                f" ({self.max_evaluations}) needed"
            )

    def phases(self, epochs: int, model: Any) -> list[Phase]:
        """First denoising, then the equilibrium."""
        del model
        first = Phase("pretrain", Denoising(), self.pretrain_epochs, stream=0)
        return [first, Phase("train", self, epochs)]

    def attach(self, model: Any) -> None:
        """The model solves and differentiates as the options say."""
        model.solver, model.gradient = self.solver, self.gradient
        model.tolerance, model.max_evaluations = self.tolerance, self.max_evaluations

    def __call__(self, model: Any, batch: Batch, step: Step) -> tuple[Tensor, Logs]:
        """(loss and penalties, their logs)."""
        budget = self._budget(step)
        solution = model.equilibrium(batch.kspace, batch.operator, max_evaluations=budget)
        loss = step.loss(solution.value, batch.known("reference"))
        logs = {
            "loss": loss.item(),
            "converged": solution.converged.float().mean().item(),
            "evaluations": solution.evaluations.float().mean().item(),
            "residual": solution.residual.mean().item(),
        }
        if self.keep > 0:
            clean = batch.known("reference")
            noise = step.generator(NOISE)
            noisy, level = with_noise(clean, self.keep_levels, noise, step.rank)
            f = model.fixed_point_map(batch.kspace, batch.operator)
            told = replace(f, denoiser=at_level(model.denoiser, level))
            left = left_of_noise(told.denoised(noisy), clean, noisy)
            logs["noise left"] = left.item()
            loss = loss + self.keep * left
        if self.hinge == self.jacobian == self.still == 0:
            return loss, logs
        f = model.iterated_map(batch.kspace, batch.operator).as_one_image()
        x = f.state(solution.value)
        if self.still > 0:
            axes = tuple(range(1, x.ndim))
            size = vector_norm(x.detach(), dim=axes).clamp_min(torch.finfo(x.dtype).tiny)
            motion = (vector_norm(f(x) - x, dim=axes) / size).mean()
            logs["motion"] = motion.item()
            loss = loss + self.still * motion
        x = x.detach()
        if self.hinge > 0:
            ratio = self._stretch(f, x)
            logs["expansion"] = ratio.mean().item()
            loss = loss + self.hinge * (ratio - self.hinge_bound).clamp_min(0).square().mean()
        if self.jacobian > 0:
            size = jacobian_penalty(f, x, generator=step.generator(), rank=step.rank).mean()
            logs["jacobian"] = size.item()
            loss = loss + self.jacobian * size
        return loss, logs

    def _budget(self, step: Step) -> int | None:
        """The most evaluations of this step's solve; None for the model's own."""
        if self.shortest is None:
            return None
        drawn = log_uniform(self.shortest, self.max_evaluations + 1, step.generator(BUDGET))
        return min(int(drawn), self.max_evaluations)

    def _stretch(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """How much f stretches its slowest mode about x, real (batch,)."""
        fx = f(x)
        radius = self.hinge_radius * vector_norm(x, dim=(-2, -1), keepdim=True)
        # What the solve left over points along the slowest modes, which a few power iterations from
        # noise do not find.
        start = fx.detach() - x
        direction = worst_direction(f, x, fx.detach(), radius, self.hinge_iterations, start=start)
        return expansion(f, x, fx, direction)
