"""What a solve returns: the value, and everything needed to trust it or to distrust it."""

from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from deqlab.solvers.flat import StateT
from deqlab.solvers.low_rank import LowRankInverse


@dataclass
class Solution(Generic[StateT]):
    """The outcome of a solve, per sample of the batch.

    value: the iterate whose residual is reported, (batch, ...) or a tuple of such; the best one
        seen where a sample did not converge.
    residual: its relative residual ||f(x) - x|| / ||f(x)|| (the absolute one where that was asked
        for), float64 (batch,).
    trace: for each sample the residual at every evaluation it took, in order, never padded.
    evaluations: how often f was evaluated, long (batch,).
    converged: whether residual <= tolerance, bool (batch,).
    reason: why each sample stopped: "converged", "budget", "diverged", "stagnated", "not finite" or
        "coupled"; `solve` says when.
    state: the solver's final state for the samples that were still running when the loop ended.
    products: how many products with J^T the solver took, long (batch,); zero for solvers that need
        evaluations only.
    inverse: B ~ (I - J)^-1 as the solver knew it when each sample left, for the whole batch; None
        from Picard, Anderson and CG.
    """

    value: StateT
    residual: Tensor
    trace: list[list[float]]
    evaluations: Tensor
    converged: Tensor
    reason: list[str]
    state: Any = None
    products: Tensor | None = None
    inverse: LowRankInverse | None = None

    def __post_init__(self) -> None:
        if self.products is None:
            self.products = torch.zeros_like(self.evaluations)
