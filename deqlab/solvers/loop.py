"""The one solve loop: evaluate, measure, stop or step. Every sample of a batch is solved for itself."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.errors import InputError
from deqlab.solvers.anderson import Anderson
from deqlab.solvers.solution import Solution

# An absolute residual this many times the first one is called divergence; Anderson's excursions stay far below.
DIVERGENCE = 1e4


@torch.no_grad()
def solve(
    f: Callable[[Tensor], Tensor],
    x0: Tensor,
    solver=Anderson(),
    tolerance: float = 1e-3,
    max_evaluations: int = 50,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Solution:
    """A fixed point x = f(x) per sample, to the relative residual ||f(x) - x|| / ||f(x)|| <= tolerance.

    f: maps (batch, ...) to the same shape, dtype and device. Where it offers `f.select(index)`, the map of the batch members in
        `index`, samples that are done leave the batch and the work falls with them.
    x0: start, real or complex (batch, ...); complex tensors are solved as real ones of twice the size, so every inner product is Re<a, b>.
    solver: a frozen dataclass with `init`, `step` and `select` (Picard, Anderson).
    callback: called as callback(evaluation, x, running) before each evaluation, with the running samples' iterates.
    No graph is recorded; `deqlab.equilibrium` adds gradients. Raises InputError for an impossible budget or a map that changes shape,
    dtype or device. NaN, divergence and an exhausted budget are reasons in the Solution, not exceptions.
    """
    if max_evaluations < 1:
        raise InputError(f"max_evaluations: {max_evaluations} given, at least 1 needed")
    if not tolerance >= 0:
        raise InputError(f"tolerance: {tolerance} given, a number >= 0 needed")
    batch = x0.shape[0]
    best, best_residual = x0, torch.full((batch,), math.inf, device=x0.device, dtype=torch.float64)
    trace: list[list[float]] = [[] for _ in range(batch)]
    reason = ["budget"] * batch
    running = torch.arange(batch, device=x0.device)
    members = list(range(batch))
    first: list[float] = [math.nan] * batch
    # A start that is its own fixed point is returned as a copy, so that the caller may change one without the other.
    x, state, current = x0.clone(), solver.init(_flat(x0)), f

    for evaluation in range(1, max_evaluations + 1):
        if callback is not None:
            callback(evaluation, x, running)
        fx = current(x)
        if evaluation == 1:
            _check_map(x, fx)
        flat_x, flat_f = _flat(x), _flat(fx)
        # In double precision no square under- or overflows, whatever the units of a float32 image.
        absolute = torch.linalg.vector_norm(flat_f - flat_x, dim=1, dtype=torch.float64)
        relative = absolute / torch.linalg.vector_norm(flat_f, dim=1, dtype=torch.float64).clamp_min(torch.finfo(torch.float64).tiny)
        improved = relative < best_residual[running]
        if len(members) == batch and bool(improved.all()):
            best, best_residual = x, relative
        else:
            best = best.index_copy(0, running[improved], x[improved])
            best_residual = best_residual.index_copy(0, running[improved], relative[improved])

        keep = []
        for position, (member, now, size) in enumerate(zip(members, relative.tolist(), absolute.tolist())):
            trace[member].append(now)
            first[member] = size if evaluation == 1 else first[member]
            if not math.isfinite(now):
                reason[member] = "not finite"
            elif now <= tolerance:
                reason[member] = "converged"
            elif size > DIVERGENCE * first[member]:
                reason[member] = "diverged"
            else:
                keep.append(position)
        if not keep or evaluation == max_evaluations:
            break
        stepped, state = solver.step(state, flat_x, flat_f)
        x = _like(stepped, x)
        if len(keep) < len(members):
            index = torch.tensor(keep, device=x0.device)
            running, members = running[index], [members[position] for position in keep]
            x, state = x[index], solver.select(state, index)
            current = _restrict(f, running, batch)

    return Solution(
        value=best,
        residual=best_residual,
        trace=trace,
        evaluations=torch.tensor([len(entries) for entries in trace]),
        converged=torch.tensor([why == "converged" for why in reason]),
        reason=reason,
        state=state,
    )


def _restrict(f: Callable, running: Tensor, batch: int) -> Callable[[Tensor], Tensor]:
    """The map of the running samples: a smaller map where f offers one, else f on a batch whose other members rest at zero."""
    if hasattr(f, "select"):
        return f.select(running)

    def padded(x: Tensor) -> Tensor:
        full = x.new_zeros(batch, *x.shape[1:])
        full[running] = x
        return f(full)[running]

    return padded


def _flat(x: Tensor) -> Tensor:
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return real.reshape(x.shape[0], -1)


def _like(flat: Tensor, x: Tensor) -> Tensor:
    if x.is_complex():
        return torch.view_as_complex(flat.reshape(*x.shape, 2))
    return flat.reshape(x.shape)


def _check_map(x: Tensor, fx: Tensor) -> None:
    for name in ("shape", "dtype", "device"):
        before, after = getattr(x, name), getattr(fx, name)
        if before != after:
            raise InputError(f"f changes the {name} of its argument from {before} to {after}; a fixed point needs them equal")
