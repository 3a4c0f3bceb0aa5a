"""What every measurement operator offers and the laws it obeys, stated once.

A subclass writes `_forward` and `_adjoint` (and `_normal` where a fast path exists), `select` and
`_stacked`. The base class makes them differentiable: the backward of A is A^H and the backward of
A^H is A, so no graph is kept and no interpolation is differentiated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError

# Power iteration comes from below: so many steps of it, and so much more is taken for the bound.
ITERATIONS, MARGIN = 20, 1.05

Linear = Callable[[Tensor], Tensor]
Operator = TypeVar("Operator", bound="LinearOperator")


class LinearOperator(nn.Module):
    """A linear map A from images to measurements with its adjoint under the inner product Re<a,
    b>.

    dimensions: 2 for images (batch, y, x), 3 for volumes (batch, z, y, x).
    """

    dimensions: int = 2

    def _forward(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def _adjoint(self, kspace: Tensor) -> Tensor:
        raise NotImplementedError

    def _normal(self, image: Tensor) -> Tensor:
        return self._adjoint(self._forward(image))

    def forward(self, image: Tensor) -> Tensor:
        """A x."""
        return _Linear.apply(image, self._forward, self._adjoint)

    def H(self, kspace: Tensor) -> Tensor:
        """A^H y."""
        return _Linear.apply(kspace, self._adjoint, self._forward)

    def normal(self, image: Tensor) -> Tensor:
        """A^H A x, by the operator's fast path where it has one."""
        return _Linear.apply(image, self._normal, self._normal)

    @property
    def is_projection(self) -> bool:
        """Whether A^H A is known to be an orthogonal projection."""
        return False

    @property
    def maps_are_learned(self) -> bool:
        """Whether A depends on coil maps that want a gradient, here and now."""
        return False

    @property
    def gain(self) -> Tensor | None:
        """By how much A was scaled, as A^H A darkens an image of which nothing is missing: real
        (batch | 1, 1, ...), None for an operator that was not. A method that only applies A^H
        divides by it.
        """
        return None

    @property
    def coils(self) -> int:
        """Number of receive coils: the second axis of the measurements."""
        raise NotImplementedError

    @property
    def members(self) -> int:
        """The batch that the operator is for; 1 where it serves any."""
        return 1

    def select(self, index: Tensor) -> Self:
        """The operator of the batch members in `index` (long, (n,)); parts shared by the whole
        batch stay shared.
        """
        raise NotImplementedError

    @staticmethod
    def stack(operators: "Sequence[Operator]") -> "Operator":
        """One operator for a batch, from operators of one slice or volume each: its member i is
        operators[i].

        All must be of one kind, with parts of equal shapes and equal options; InputError names the
        first thing that differs.
        """
        if not operators:
            raise InputError("operators: none given, one or more needed for a batch")
        first = operators[0]
        shared = first._shared()
        for place, A in enumerate(operators):
            if A.members != 1:
                raise InputError(
                    f"operators of one slice each needed for a batch; number {place} is for a batch"
                    f" of {A.members}"
                )
            if type(A) is not type(first):
                raise InputError(
                    "operators of different kinds cannot share a batch:"
                    f" {type(first).__name__} and {type(A).__name__}"
                )
            _check_shared(shared, A._shared())
        return first._stacked(operators)

    def _shared(self) -> Mapping[str, object]:
        """What operators must have in common to share a batch, by name."""
        return {}

    def _stacked(self, operators: Sequence[Self]) -> Self:
        """`stack` of operators like this one, which is their first."""
        raise NotImplementedError

    def __matmul__(self, inner: "LinearOperator") -> "LinearOperator":
        """The composition: (A @ B)(x) = A(B(x))."""
        return Composition(self, inner)

    def norm(self, like: Tensor, iterations: int = 50) -> Tensor:
        """Largest singular value of A, per sample, by power iteration on A^H A from a fixed random
        start.

        `like`: an image of the operator's domain, (batch, y, x) or (batch, z, y, x); gives shape,
        precision and device. A lower bound that tightens with `iterations`. Returns a real tensor
        (batch,).
        """
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(*like.shape, 2, generator=generator, dtype=torch.float64)
        image = torch.view_as_complex(start).to(like)
        axes = tuple(range(1, like.ndim))
        with torch.no_grad():
            for _ in range(iterations):
                length = torch.linalg.vector_norm(image, dim=axes, keepdim=True)
                image = self._normal(image / length.clamp_min(torch.finfo(length.dtype).tiny))
            return torch.linalg.vector_norm(image, dim=axes).sqrt()

    def squared_norm(self, like: Tensor) -> Tensor:
        """A bound of ||A||^2, the Lipschitz constant of A^H (A x - y), per sample: real (batch, 1,
        ..., 1), with the axes of an image.

        like: an image, as in `norm`. Known at no cost where the operator's structure tells it; else
        power iteration, which stays below the true value, times a margin. 1 where A is zero, so
        that a step of 1 over it exists.
        """
        bound = self._squared_norm(like)
        bound = torch.where(bound > 0, bound, torch.ones_like(bound))
        return bound.reshape(-1, *(1,) * (like.ndim - 1))

    def _squared_norm(self, like: Tensor) -> Tensor:
        """The bound or 0, real (batch,)."""
        return MARGIN * self.norm(like, ITERATIONS).square()


def _check_shared(one: Mapping[str, object], other: Mapping[str, object]) -> None:
    for name, value in one.items():
        given = other[name]
        if isinstance(value, Tensor) and isinstance(given, Tensor):
            if value.shape != given.shape or not torch.equal(value, given):
                raise InputError(f"operators with different {name} cannot share a batch")
        elif value != given:
            raise InputError(
                f"operators with different {name} cannot share a batch: {value} and {given}"
            )


class Composition(LinearOperator):
    """A @ B: first B, then A."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator):
        super().__init__()
        self.outer, self.inner = outer, inner
        self.dimensions = inner.dimensions

    @property
    def coils(self) -> int:
        """Number of receive coils."""
        return self.outer.coils

    @property
    def members(self) -> int:
        """The batch that the operator is for; 1 where it serves any."""
        return max(self.outer.members, self.inner.members)

    def _forward(self, image: Tensor) -> Tensor:
        return self.outer._forward(self.inner._forward(image))

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._adjoint(kspace))

    def _normal(self, image: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._normal(self.inner._forward(image)))

    def select(self, index: Tensor) -> "Composition":
        """The composition of the batch members in `index` (long, (n,))."""
        return Composition(self.outer.select(index), self.inner.select(index))

    def _stacked(self, operators: "Sequence[Composition]") -> "Composition":
        return Composition(
            LinearOperator.stack([A.outer for A in operators]),
            LinearOperator.stack([A.inner for A in operators]),
        )


class _Linear(torch.autograd.Function):
    """Apply `forward` and differentiate by `adjoint`. Differentiable again: the backward is itself
    such a map.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Linear, adjoint: Linear) -> Tensor:
        ctx.maps = forward, adjoint
        return forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return _Linear.apply(gradient, adjoint, forward), None, None
