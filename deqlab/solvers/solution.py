"""What a solve returns: the value, and everything needed to trust it or to distrust it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Solution:
    """The outcome of a solve, per sample of the batch.

    value: the iterate whose residual is reported, (batch, ...); the best one seen where a sample did not converge.
    residual: its relative residual ||f(x) - x|| / ||f(x)||, real (batch,).
    trace: for each sample the relative residual at every evaluation it took, in order, never padded.
    evaluations: how often f was evaluated, long (batch,).
    converged: whether residual <= tolerance, bool (batch,).
    reason: why each sample stopped: "converged", "budget", "diverged" or "not finite".
    state: the solver's final state for the samples that were still running when the loop ended.
    """

    value: Tensor
    residual: Tensor
    trace: list[list[float]]
    evaluations: Tensor
    converged: Tensor
    reason: list[str]
    state: Any = None
