"""The samples of a batch that are still being solved, and the map restricted to them."""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.borrowed_memory import Borrowed
from deqlab.solvers.criterion import lengths
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.flat import (
    State,
    batch_size,
    check_map,
    flatten,
    formed_like,
    parts,
    select,
    unflatten,
)
from deqlab.solvers.protocol import AnyMap, SelectableMap


class RunningBatch:
    """f for the samples that go on, and what they have cost.

    f: the map of the whole batch of x. record: keep the graph of an evaluation until the next, for
        products with J^T.
    members: which of the batch go on, long (running,). products: with J^T so far, long (batch,) of
        the whole batch.
    """

    def __init__(self, f: AnyMap, x: State, record: bool):
        self.f, self.record, self.batch = f, record, batch_size(x)
        device = parts(x)[0].device
        self.members = torch.arange(self.batch, device=device)
        self.products = torch.zeros(self.batch, dtype=torch.long, device=device)
        self._smaller: AnyMap | None = None
        self._checked = False
        self._borrowed = Borrowed()
        # What f was last shown and gave of the whole batch, where some of it rests.
        self._whole: tuple[State, State] | None = None

    def keep(self, index: Tensor) -> None:
        """The samples at positions `index` go on, the others leave."""
        self.members = self.members[index]
        if isinstance(self.f, SelectableMap):
            self._smaller = self.f.select(self.members)

    def evaluate(self, x: State, best: State) -> Evaluation:
        """f(x) of the running samples; the others rest at their `best`, of the whole batch.

        InputError where f changes the kind of its argument, the argument itself, or what it has
        returned before; at the first evaluation also where it records no graph although one is
        needed.
        """
        self._whole = None
        seen = self._borrowed.before(x, best)
        points: tuple[Tensor, ...] = ()
        if self.record:
            with torch.enable_grad():
                points = tuple(part.detach().requires_grad_() for part in parts(x))
                fx = self._image(formed_like(points, x), best)
        else:
            fx = self._image(x, best)
        # Every time: a map that changes its shape later, as a wrong `select` does, would pass by
        # broadcasting.
        check_map(x, fx)
        self._borrowed.check(self.f, x, best, fx, seen)
        if not self._checked:
            self._checked = True
            if self.record and not any(part.requires_grad for part in parts(fx)):
                raise InputError(_NO_GRAPH)
        with torch.no_grad():
            flat_x, flat_f = flatten(x), flatten(fx).detach()
            residual = flat_f - flat_x
        return Evaluation(
            flat_x, flat_f, residual, self._pullback(x, points, fx), self._observer(x, best)
        )

    def at_rest(self, members: list[int]) -> tuple[list[int], list[float], list[float]]:
        """Which samples rested at the last evaluation, when `members` went on, and their
        ||f(x) - x|| and ||f(x)|| there: those of the whole batch as f was shown it, with one
        transfer from the device. None where samples that are done leave.
        """
        resting = sorted(set(range(self.batch)).difference(members))
        if self._whole is None or not resting:
            return [], [], []
        index = torch.tensor(resting).to(self.members.device, non_blocking=True)
        x, fx = (flatten(select(state, index)).detach() for state in self._whole)
        return resting, *lengths(fx - x, fx)

    def _image(self, x: State, best: State) -> State:
        """f(x) of the running samples."""
        if len(self.members) == self.batch:
            return self.f(x)
        if self._smaller is not None:
            return self._smaller(x)
        whole = placed(x, self.members, best)
        image = self.f(whole)
        if batch_size(image) != self.batch:
            return image
        self._whole = whole, image
        return select(image, self.members)

    def _pullback(
        self, x: State, points: tuple[Tensor, ...], fx: State
    ) -> Callable[[Tensor, Tensor | None], Tensor]:
        """(v, rows) -> J^T v by the graph from `points` to `fx`, counted for the samples it is
        of.
        """
        members = self.members

        def pullback(v: Tensor, rows: Tensor | None) -> Tensor:
            if rows is None:
                self.products[members] += 1
                return _transposed(v, x, points, fx)
            self.products[members[rows]] += 1
            full = v.new_zeros(len(members), v.shape[1]).index_copy(0, rows, v)
            return _transposed(full, x, points, fx)[rows]

        return pullback

    def _observer(self, x: State, best: State) -> Callable[[AnyMap], Tensor]:
        """direction -> direction(x), flat, for a function of the whole batch."""
        members = self.members

        def observe(direction: AnyMap) -> Tensor:
            with torch.enable_grad():
                point = formed_like(tuple(part.detach() for part in parts(x)), x)
                found = restricted(direction, members, best)(point)
            check_map(x, found, "direction")
            return flatten(found)

        return observe


def restricted(f: AnyMap, members: Tensor, best: State) -> AnyMap:
    """A map of the whole batch as one of `members`: a smaller map where it offers `select`, else
    the map on a batch whose other members rest at `best`.
    """
    if len(members) == batch_size(best):
        return f
    if isinstance(f, SelectableMap):
        return f.select(members)

    def padded(x: State) -> State:
        image = f(placed(x, members, best))
        return select(image, members) if batch_size(image) == batch_size(best) else image

    return padded


def placed(x: State, members: Tensor, whole: State) -> State:
    """The state `whole` of a batch with `x` in the place of its `members`."""
    pairs = zip(parts(whole), parts(x))
    return formed_like(tuple(old.index_copy(0, members, new) for old, new in pairs), x)


def _transposed(v: Tensor, x: State, points: tuple[Tensor, ...], fx: State) -> Tensor:
    """J^T v, real (batch, n)."""
    pairs = [
        (out, part) for out, part in zip(parts(fx), parts(unflatten(v, x))) if out.requires_grad
    ]
    outputs, cotangents = zip(*pairs)
    found = torch.autograd.grad(outputs, points, cotangents, retain_graph=True, allow_unused=True)
    if all(part is None for part in found):
        raise InputError(_NO_GRAPH)
    found = tuple(
        torch.zeros_like(point) if part is None else part for part, point in zip(found, points)
    )
    return flatten(formed_like(found, x))


_NO_GRAPH = (
    "f: its output carries no graph of its argument, but this solver needs products with the"
    " transposed Jacobian; take detach, no_grad and numpy out of f, or a solver that needs"
    " evaluations only"
)
