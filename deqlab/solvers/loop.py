"""The one solve loop: evaluate, measure, stop or step. Every sample of a batch is solved for
itself.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from deqlab.solvers.anderson import Anderson
from deqlab.solvers.coupled_samples import Recheck, computed_in, corrected
from deqlab.solvers.criterion import (
    RelativeResidual,
    lengths,
    per_sample_budget,
    per_sample_tolerance,
)
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.flat import (
    StateT,
    batch_size,
    check_state,
    flatten,
    formed_like,
    parts,
    unflatten,
)
from deqlab.solvers.low_rank import LowRankInverse, gather
from deqlab.solvers.protocol import AnySolver, Criterion, SelectableMap, StateMap
from deqlab.solvers.running import RunningBatch
from deqlab.solvers.solution import Solution

# An absolute residual this many times the first one is called divergence; the excursions of
# Anderson and Broyden stay far below.
DIVERGENCE = 1e4
# Where the residual has not fallen by one percent within this many evaluations, no budget in use
# will save the sample: Picard at the rate 0.9999 just passes, and takes 90,000 evaluations to 1e-4.
STAGNATION_WINDOW, STAGNATION_FACTOR = 100, 0.99


@torch.no_grad()
def solve(
    f: StateMap[StateT],
    x0: StateT | Solution[StateT],
    solver: AnySolver = Anderson(),
    tolerance: float | Tensor = 1e-3,
    max_evaluations: int | Tensor = 50,
    callback: Callable[[int, StateT, Tensor], None] | None = None,
    criterion: Criterion = RelativeResidual(),
    proof: bool = True,
) -> Solution[StateT]:
    """A fixed point x = f(x) per sample, to the relative residual ||f(x) - x|| / ||f(x)|| <=
    tolerance.

    f: maps (batch, ...) to the same shape, dtype and device, or a tuple of such to a tuple. Where
        it is a `SelectableMap`, samples that are done leave the batch and the work falls with them.
    x0: start, real or complex (batch, ...), or a tuple; or an earlier Solution, from whose value
        the solve goes on. Complex tensors are solved as real ones of twice the size, so every inner
        product is Re<a, b>.
    solver: Picard, Anderson, Broyden, AdjointBroyden, LBFGS, FISTA, or any other
        `deqlab.solvers.protocol.Solver`.
    tolerance, max_evaluations: a number for all, or a tensor (batch,) with one for each sample.
        tolerance = 0 spends the budget.
    callback: called as callback(evaluation, x, running) before each evaluation, with the running
        samples' iterates.
    criterion: RelativeResidual(), or AbsoluteResidual() for ||f(x) - x|| <= tolerance.
    proof: evaluate f of the whole batch once more where samples have left it, for only that shows
        whether they are still where they were left; False where the caller does.

    A sample stops for one of these reasons, named in the Solution; in all of them `value` is the
    best iterate seen: "converged"; "budget": its evaluations are spent; "not finite": NaN or Inf in
    f(x); "diverged": ||f(x) - x|| has grown to 1e4 times the first one; "stagnated": neither the
    best residual nor the smallest ||f(x) - x|| has fallen by 1 % within 100 evaluations, as it
    happens at the rounding level and on limit cycles, but not to Picard at the rate 0.999, slow as
    it is; "coupled": it had converged, but as others went on f(x) became another one, so f does not
    treat every sample for itself (a DeqlabWarning, and the residuals are those of `value`).

    No graph of f outlives an evaluation; `deqlab.equilibrium` adds gradients. Raises InputError for
    an impossible budget or tolerance (a positive one below the state's rounding), for a map that
    changes the structure, shape, dtype or device of its argument, its argument itself, or what it
    has returned before, and for a map without a graph under a solver that needs products with
    J^T.
    """
    start = x0.value if isinstance(x0, Solution) else x0
    check_state("x0", start)
    batch, device = batch_size(start), parts(start)[0].device
    # A start that is its own fixed point is returned as a copy, so that the caller may change one
    # without the other.
    x = formed_like(tuple(part.clone() for part in parts(start)), start)
    flat = flatten(x)
    tolerances = per_sample_tolerance(tolerance, batch, criterion, flat.dtype)
    budgets = per_sample_budget(max_evaluations, batch)
    record = _Record(tolerances, budgets)
    running, members = RunningBatch(f, x, solver.needs_products), list(range(batch))
    best, state = x, solver.init(flat)
    precision = computed_in(flat)
    # One vector less beside everything that a solver remembers.
    del flat
    # Under autocast f is evaluated in bfloat16 where it likes to be; a solver's own products never.
    halved = torch.is_autocast_enabled(device.type)
    full_precision = torch.autocast(device.type, enabled=False) if halved else nullcontext()
    pieces: list[tuple[Tensor, LowRankInverse]] = []

    for evaluation in range(1, max(budgets) + 1):
        if callback is not None:
            callback(evaluation, x, running.members)
        at = running.evaluate(x, best)
        sizes, norms = lengths(at.g, at.f)
        residuals = [criterion(size, length) for size, length in zip(sizes, norms)]
        improved, keep, leave = record.take(evaluation, members, residuals, sizes)
        best = _improve(best, x, running.members, improved, batch)
        if leave:
            gone = None if not keep else _positions(leave, device)
            piece = _inverse(solver, state, at, gone)
            if piece is not None:
                pieces.append((running.members if gone is None else running.members[gone], piece))
            if not keep:
                break
            index = _positions(keep, device)
            members = [members[position] for position in keep]
            running.keep(index)
            state, at = solver.select(state, index), at.select(index)
        with full_precision:
            stepped, state = solver.step(state, at)
        # The graph of an evaluation must not live through the next one.
        del at
        x = unflatten(stepped, x)

    found = Solution(
        value=best,
        residual=torch.tensor(record.best, dtype=torch.float64, device=device),
        trace=record.trace,
        evaluations=torch.tensor([len(entries) for entries in record.trace]),
        converged=torch.tensor([why == "converged" for why in record.reason]),
        reason=record.reason,
        state=state,
        products=running.products.cpu(),
        inverse=gather(batch, pieces) if pieces else None,
    )
    recheck = Recheck(criterion, tolerances, precision)
    left = isinstance(f, SelectableMap) and len(set(found.evaluations.tolist())) > 1
    if (left and proof) or any(
        recheck.moved(member, record.reason[member], record.best[member], size, length)
        for member, size, length in zip(*running.at_rest(members))
    ):
        # Those who left can be asked in no other way; and where some who rest have moved, the map
        # is not what it has to be, so what it costs no longer matters: the truth of all.
        return corrected(found, f(best), recheck)
    return found


class _Record:
    """What has been measured of every sample of the batch, and the verdict on each."""

    def __init__(self, tolerances: list[float], budgets: list[int]):
        batch = len(tolerances)
        self.tolerances, self.budgets = tolerances, budgets
        self.trace: list[list[float]] = [[] for _ in range(batch)]
        self.best = [math.inf] * batch
        self.reason = ["budget"] * batch
        self._first = [math.nan] * batch
        # When the residuals last fell by STAGNATION_FACTOR, and to what. The absolute one counts
        # too: from a far start the relative one stands still until the size of x has come down.
        self._noted = [(0, math.inf, math.inf)] * batch

    def take(
        self, evaluation: int, members: list[int], residuals: list[float], sizes: list[float]
    ) -> tuple[list[int], list[int], list[int]]:
        """Positions in `members` whose residual is their best so far, of those that go on, and of
        those that leave.
        """
        improved: list[int] = []
        keep: list[int] = []
        leave: list[int] = []
        for position, (member, now, size) in enumerate(zip(members, residuals, sizes)):
            self.trace[member].append(now)
            if evaluation == 1:
                self._first[member] = size
            if now < self.best[member]:
                self.best[member] = now
                improved.append(position)
            _, best, smallest = self._noted[member]
            if now < STAGNATION_FACTOR * best or size < STAGNATION_FACTOR * smallest:
                self._noted[member] = (evaluation, min(now, best), min(size, smallest))
            why = self._verdict(member, evaluation, now, size)
            if why is not None:
                self.reason[member] = why
            (keep if why is None else leave).append(position)
        return improved, keep, leave

    def _verdict(self, member: int, evaluation: int, now: float, size: float) -> str | None:
        # Not of `now`: where f(x) is exactly 0 the relative residual is infinite and nothing is
        # wrong.
        if not math.isfinite(size):
            return "not finite"
        if now <= self.tolerances[member]:
            return "converged"
        if size > DIVERGENCE * self._first[member]:
            return "diverged"
        if evaluation - self._noted[member][0] >= STAGNATION_WINDOW:
            return "stagnated"
        return "budget" if evaluation >= self.budgets[member] else None


def _improve(best: StateT, x: StateT, members: Tensor, improved: list[int], batch: int) -> StateT:
    """`best` with the iterates at the positions `improved`; where they are all of the batch nothing
    is copied.
    """
    if len(improved) == batch:
        return x
    if not improved:
        return best
    everywhere = len(improved) == len(members)
    index = None if everywhere else _positions(improved, members.device)

    def placed(old: Tensor, new: Tensor) -> Tensor:
        if index is None:
            return old.index_copy(0, members, new)
        return old.index_copy(0, members[index], new[index])

    pairs = zip(parts(best), parts(x))
    return formed_like(tuple(placed(old, new) for old, new in pairs), best)


def _positions(found: list[int], device: torch.device) -> Tensor:
    # A device goes on with its work while so few numbers come.
    return torch.tensor(found).to(device, non_blocking=True)


def _inverse(
    solver: AnySolver, state: Any, at: Evaluation, gone: Tensor | None
) -> LowRankInverse | None:
    if gone is None:
        return solver.inverse(state, at)
    return (
        solver.inverse(solver.select(state, gone), at.select(gone))
        if solver.keeps_inverse
        else None
    )
