"""Outer problem awareness: spend a few evaluations on making the inverse right where the outer
problem will use it.

Z. Ramzi et al., SHINE: SHaring the INverse Estimate from the forward pass for bi-level optimization
and implicit models, ICLR 2022. A quasi-Newton inverse is right only along the steps that the solver
took, and the gradient of the outer problem points elsewhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.products import length
from deqlab.solvers.protocol import AnyMap


@dataclass(frozen=True)
class OPA:
    """After every `every` evaluations B is corrected along `direction`, at the price of one
    evaluation or product more.

    direction: called with the running samples' iterate x, returns d like x. A `SelectableMap` is
        restricted to them, as f is; any other sees the whole batch. It may use autograd.
    Broyden and LBFGS: the extra pair (e, g(x) - g(x + e)) with e along B d, so that B d becomes
        right: give the direction that (I - J)^-1 is applied to, in bilevel problems df/dtheta. The
            evaluation at x + e is one of the trace and of the budget.
    AdjointBroyden: the extra update along v = B^T d, so that B^T d becomes right: give the gradient
        dL/dx of the outer loss. It costs a product, and one more when a sample is done.
    """

    direction: AnyMap
    every: int = 5

    def __post_init__(self) -> None:
        if not callable(self.direction):
            raise InputError(
                f"direction: {type(self.direction).__name__} given, a function of the iterate"
                " needed"
            )
        if not self.every >= 1:
            raise InputError(f"every: {self.every} given, at least 1 needed")


def probe(step: Tensor, x: Tensor, along: Tensor) -> Tensor:
    """`along`, scaled to the length of the solver's own step, so that both pairs see the same
    curvature of f; real (batch, n).

    Not shorter than sqrt(eps) ||x||: below, the change of the residual would be rounding.
    """
    aim = torch.maximum(length(step), torch.finfo(x.dtype).eps ** 0.5 * length(x))
    scale = aim / length(along)
    return along * torch.where(torch.isfinite(scale), scale, torch.zeros_like(scale))
