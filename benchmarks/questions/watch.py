"""f under observation: how often it was evaluated, how often differentiated, how good every iterate
truly was, and when.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@torch.no_grad()
def relative_residual(x: Tensor, fx: Tensor) -> Tensor:
    """||f(x) - x|| / ||f(x)|| per sample in double precision, (batch,): the one definition by which
    all are judged.
    """
    flat = [(torch.view_as_real(a) if a.is_complex() else a).flatten(1) for a in (fx - x, fx)]
    difference, size = (torch.linalg.vector_norm(a, dim=1, dtype=torch.float64) for a in flat)
    return difference / size.clamp_min(torch.finfo(torch.float64).tiny)


@dataclass
class Log:
    """What was seen: for each sample the true residuals and the seconds at which they were there,
    in order.

    The seconds run from `start` and leave out what the observation itself took. calls: evaluations
    of a batch, whatever its size.
    pullbacks: backward passes through a graph of f.
    """

    batch: int
    residuals: list[list[float]] = field(init=False)
    seconds: list[list[float]] = field(init=False)
    calls: int = 0
    pullbacks: int = 0
    began: float = 0.0
    watching: float = 0.0

    def __post_init__(self) -> None:
        self.residuals, self.seconds = ([[] for _ in range(self.batch)] for _ in range(2))

    def start(self) -> None:
        """Set the clock to zero."""
        self.began, self.watching = time.perf_counter(), 0.0

    def reached(self, tolerance: float) -> tuple[int, float] | None:
        """Evaluations and seconds after which every sample had been at an iterate within
        `tolerance`; None if one never was.
        """
        evaluations, seconds = 0, 0.0
        for residuals, moments in zip(self.residuals, self.seconds):
            first = next((i for i, residual in enumerate(residuals) if residual <= tolerance), None)
            if first is None:
                return None
            evaluations, seconds = max(evaluations, first + 1), max(seconds, moments[first])
        return evaluations, seconds


class Watched:
    """f that fills a Log; `select` hands on what f offers, so that a solver may take samples out of
    the batch.
    """

    def __init__(self, f: Callable[[Tensor], Tensor], log: Log, members: list[int] | None = None):
        self.f, self.log = f, log
        self.members = list(range(log.batch)) if members is None else members
        if hasattr(f, "select"):
            self.select = self._select

    def __call__(self, x: Tensor) -> Tensor:
        fx = self.f(x)
        seen = time.perf_counter()
        elapsed = seen - self.log.began - self.log.watching
        self.log.calls += 1
        # A solver that cannot leave samples out evaluates all of them, so position and sample
        # agree.
        for member, residual in zip(self.members, relative_residual(x, fx).tolist()):
            self.log.residuals[member].append(residual)
            self.log.seconds[member].append(elapsed)
        self.log.watching += time.perf_counter() - seen
        return _Tally.apply(fx, self.log) if torch.is_grad_enabled() and fx.requires_grad else fx

    def _select(self, index: Tensor) -> "Watched":
        return Watched(
            self.f.select(index), self.log, [self.members[position] for position in index.tolist()]
        )


class _Tally(torch.autograd.Function):
    """Identity that counts the backward passes through it."""

    @staticmethod
    def forward(ctx, output, log):
        ctx.log = log
        return output.view_as(output)

    @staticmethod
    def backward(ctx, gradient):
        ctx.log.pullbacks += 1
        return gradient, None


def as_real(f: Callable[[Tensor], Tensor], x0: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """f and its start on real tensors (..., 2), for libraries whose inner products do not
    conjugate; real ones stay as they are.
    """
    if not x0.is_complex():
        return f, x0
    return lambda x: torch.view_as_real(f(torch.view_as_complex(x))), torch.view_as_real(x0)


def as_complex(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of `as_real` for a value."""
    return torch.view_as_complex(x) if like.is_complex() and not x.is_complex() else x
