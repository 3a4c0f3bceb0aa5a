"""One evaluation of f as a solver sees it: flat vectors, and products with the transposed Jacobian
for those that ask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.flat import State, batch_size, check_map, flatten, parts, select, unflatten


@dataclass(frozen=True)
class Evaluation:
    """f at the iterates of the running samples, `members` of the batch: x, f and g = f(x) - x, real
    (batch, n).
    """

    x: Tensor
    f: Tensor
    g: Tensor
    members: Tensor
    products: Tensor  # of the whole batch, counted as they are taken
    pullback: Callable[[Tensor], Tensor]
    observe: Callable[[Callable[[State], State]], Tensor]

    def transpose(self, v: Tensor) -> Tensor:
        """J^T v with J = df/dx here, real (batch, n): one vector-Jacobian product for each
        sample.
        """
        self.products[self.members] += 1
        return self.pullback(v)

    def outer(self, direction: Callable[[State], State]) -> Tensor:
        """direction(x), a vector like x for each sample, as real (batch, n)."""
        return self.observe(direction)

    def select(self, index: Tensor) -> "Evaluation":
        """The evaluation of the samples at positions `index`; its graph stays that of all, so a
        product costs the others' share.
        """

        def pullback(v: Tensor) -> Tensor:
            return self.pullback(torch.zeros_like(self.x).index_copy(0, index, v))[index]

        def observe(direction: Callable[[State], State]) -> Tensor:
            return self.observe(direction)[index]

        return Evaluation(
            self.x[index],
            self.f[index],
            self.g[index],
            self.members[index],
            self.products,
            pullback,
            observe,
        )


def evaluate(
    current: Callable,
    x: State,
    record: bool,
    members: Tensor,
    products: Tensor,
    restricted: Callable,
    first: bool,
) -> Evaluation:
    """f(x) of the running samples. record: keep the graph of this evaluation until the next, for
    products with J^T.

    restricted: turns a function of the whole batch into that of the running samples. first: check
    that f leaves its argument as it is and, where one is needed, records a graph.
    """
    versions = [part._version for part in parts(x) if not part.is_inference()]
    if record:
        with torch.enable_grad():
            points = tuple(part.detach().requires_grad_() for part in parts(x))
            fx = current(points if isinstance(x, tuple) else points[0])
    else:
        points, fx = (), current(x)
    # Every time: a map that changes its shape later, as a wrong `select` does, would pass by
    # broadcasting.
    check_map(x, fx)
    if first:
        if versions != [part._version for part in parts(x) if not part.is_inference()]:
            raise InputError(
                "f changes its argument in place; its image is compared with it, so f must return a"
                " new tensor"
            )
        if record and not any(part.requires_grad for part in parts(fx)):
            raise InputError(_NO_GRAPH)

    def pullback(v: Tensor) -> Tensor:
        pairs = [
            (out, part) for out, part in zip(parts(fx), parts(unflatten(v, x))) if out.requires_grad
        ]
        outputs, cotangents = zip(*pairs)
        found = torch.autograd.grad(
            outputs, points, cotangents, retain_graph=True, allow_unused=True
        )
        if all(part is None for part in found):
            raise InputError(_NO_GRAPH)
        found = tuple(
            torch.zeros_like(point) if part is None else part for part, point in zip(found, points)
        )
        return flatten(found if isinstance(x, tuple) else found[0])

    def observe(direction: Callable[[State], State]) -> Tensor:
        with torch.enable_grad():
            found = restricted(direction)(
                tuple(part.detach() for part in x) if isinstance(x, tuple) else x.detach()
            )
        check_map(x, found, "direction")
        return flatten(found)

    with torch.no_grad():
        flat_x, flat_f = flatten(x), flatten(fx).detach()
        return Evaluation(flat_x, flat_f, flat_f - flat_x, members, products, pullback, observe)


def restrict(f: Callable, running: Tensor, batch: int) -> Callable[[State], State]:
    """f for the running samples: a smaller map where f offers `select`, else f on a batch whose
    other members rest at zero.
    """
    if len(running) == batch:
        return f
    if hasattr(f, "select"):
        return f.select(running)

    def padded(x: State) -> State:
        def pad(part: Tensor) -> Tensor:
            return part.new_zeros(batch, *part.shape[1:]).index_copy(0, running, part)

        full = tuple(pad(part) for part in x) if isinstance(x, tuple) else pad(x)
        image = f(full)
        return select(image, running) if batch_size(image) == batch else image

    return padded


_NO_GRAPH = (
    "f: its output carries no graph of its argument, but this solver needs products with the"
    " transposed Jacobian; take detach, no_grad and numpy out of f, or a solver that needs"
    " evaluations only"
)
