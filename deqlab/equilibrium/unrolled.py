"""Plain automatic differentiation through the last evaluations, with or without checkpoints.

Unrolling keeps one graph of f for each evaluation. Checkpointing keeps only the states between
segments and evaluates a segment again when the backward pass reaches it: memory of sqrt(k) graphs
for one more evaluation each (T. Chen et al., Training deep nets with sublinear memory cost, 2016).
"""

import math
from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint as recomputed

from deqlab.core.errors import InputError
from deqlab.equilibrium.graph import detached
from deqlab.solvers import Solution
from deqlab.solvers.flat import StateT, formed_like, parts
from deqlab.solvers.protocol import StateMap


def unrolled(
    f: StateMap[StateT], x0: StateT, k: int, checkpoint: str | int | None = None
) -> StateT:
    """f(f(... f(x0))), k evaluations, with the gradient of exactly that: in the parameters of f and
    in x0.

    checkpoint: None keeps every graph; an integer m keeps the states after every m evaluations and,
    in the backward pass, m graphs; "sqrt" takes m = ceil(sqrt(k)), which minimises the sum of both.
    The gradient is the same; f must give the same output for the same input.
    Raises InputError for any other `checkpoint`.
    """
    every = _segment_length(k, checkpoint)
    if every is None or not torch.is_grad_enabled():
        return _repeat(f, x0, k)
    x = x0
    for begin in range(0, k, every):
        length = min(every, k - begin)
        run = lambda *tensors, length=length: parts(_repeat(f, formed_like(tensors, x0), length))
        x = formed_like(recomputed(run, *parts(x), use_reentrant=False), x0)
    return x


def _repeat(f: StateMap[StateT], x: StateT, k: int) -> StateT:
    for _ in range(k):
        x = f(x)
    return x


def _segment_length(k: int, checkpoint: str | int | None) -> int | None:
    if k < 1:
        raise InputError(f"k: {k} given, at least 1 needed")
    if checkpoint is None:
        return None
    if checkpoint == "sqrt":
        return math.isqrt(k - 1) + 1
    if isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1:
        return checkpoint
    raise InputError(
        f"checkpoint: {checkpoint!r} given, None, 'sqrt' or a number of evaluations >= 1 needed"
    )


@dataclass(frozen=True)
class Unrolled:
    """dL/dw of k more evaluations of f, started at the solution, which itself counts as a constant.

    The value is f^k(x), x being `solution.value`: the iterate whose residual the solve reports,
    before any further evaluation. At an exact fixed point the gradient is that of NeumannSeries(k -
    1), and k = 1 is JacobianFree. Memory grows with k, or sqrt(k) with checkpoint="sqrt".
    For a network unrolled from its start call `unrolled` itself. The graph is an ordinary one: it
    can be differentiated twice.
    """

    k: int = 5
    checkpoint: str | int | None = None

    def __post_init__(self) -> None:
        _segment_length(self.k, self.checkpoint)

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f^k(x), differentiable in the parameters of f."""
        return unrolled(f, detached(solution.value), self.k, self.checkpoint)
