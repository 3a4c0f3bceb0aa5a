"""The samples of a batch that are still being solved, and the map restricted to them."""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.core.errors import InputError
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
        self._current, self._checked = f, False

    def keep(self, index: Tensor) -> None:
        """The samples at positions `index` go on, the others leave."""
        self.members = self.members[index]
        self._current = restricted(self.f, self.members, self.batch)

    def evaluate(self, x: State) -> Evaluation:
        """f(x) of the running samples.

        InputError where f changes the kind of its argument; at the first evaluation also where it
        changes the argument itself or records no graph although one is needed.
        """
        versions = None if self._checked else _versions(x)
        points: tuple[Tensor, ...] = ()
        if self.record:
            with torch.enable_grad():
                points = tuple(part.detach().requires_grad_() for part in parts(x))
                fx = self._current(formed_like(points, x))
        else:
            fx = self._current(x)
        # Every time: a map that changes its shape later, as a wrong `select` does, would pass by
        # broadcasting.
        check_map(x, fx)
        if versions is not None:
            self._check_first(x, fx, versions)
        with torch.no_grad():
            flat_x, flat_f = flatten(x), flatten(fx).detach()
            residual = flat_f - flat_x
        return Evaluation(
            flat_x, flat_f, residual, self._pullback(x, points, fx), self._observer(x)
        )

    def _check_first(self, x: State, fx: State, versions: list[int]) -> None:
        if versions != _versions(x):
            raise InputError(
                "f changes its argument in place; its image is compared with it, so f must return a"
                " new tensor"
            )
        if self.record and not any(part.requires_grad for part in parts(fx)):
            raise InputError(_NO_GRAPH)
        self._checked = True

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

    def _observer(self, x: State) -> Callable[[AnyMap], Tensor]:
        """direction -> direction(x), flat, for a function of the whole batch."""
        members = self.members

        def observe(direction: AnyMap) -> Tensor:
            with torch.enable_grad():
                point = formed_like(tuple(part.detach() for part in parts(x)), x)
                found = restricted(direction, members, self.batch)(point)
            check_map(x, found, "direction")
            return flatten(found)

        return observe


def restricted(f: AnyMap, members: Tensor, batch: int) -> AnyMap:
    """A map of the whole batch as one of `members`: a smaller map where it offers `select`, else
    the map on a batch whose other members rest at zero.
    """
    if len(members) == batch:
        return f
    if isinstance(f, SelectableMap):
        return f.select(members)

    def padded(x: State) -> State:
        def pad(part: Tensor) -> Tensor:
            return part.new_zeros(batch, *part.shape[1:]).index_copy(0, members, part)

        image = f(formed_like(tuple(pad(part) for part in parts(x)), x))
        return select(image, members) if batch_size(image) == batch else image

    return padded


def _versions(x: State) -> list[int]:
    """How often each tensor has been changed in place."""
    return [part._version for part in parts(x) if not part.is_inference()]


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
