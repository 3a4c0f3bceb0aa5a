"""What is asked of every library: a solver of fixed points, and a gradient of one."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Forward:
    """A fixed-point solver of a library: solve(f, x0, tolerance, budget) returns its answer.

    tolerance: relative, 0 to spend the budget. budget: evaluations of f. remembers: whether the
        memory that was asked for changes it.
    symmetric: only for symmetric Jacobians.
    """

    library: str
    method: str
    solve: Callable[[Callable, Tensor, float, int], Tensor]
    remembers: bool = False
    symmetric: bool = False


@dataclass(frozen=True)
class Backward:
    """A gradient of a library: attach(f, x0, tolerance, outer) solves to `tolerance` and returns a
    differentiable value.

    outer: x to dL/dx, with `select`, for solvers that want to know the outer problem.
    warm: whether it may start at the fixed point; one that reads what the forward solver has
        learned may not.
    recomputes: whether its backward evaluates f again instead of keeping graphs.
    """

    library: str
    method: str
    attach: Callable[[Callable, Tensor, float, Callable], Tensor]
    warm: bool = True
    recomputes: bool = False
