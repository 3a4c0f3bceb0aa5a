"""The border between states and vectors: solvers see one real vector per sample, whatever the state
is.

A complex number is the pair of its real and imaginary part, so the inner product of two flat
vectors is Re<a, b>; a tuple is one vector.
"""

from functools import reduce
from typing import TypeVar, cast

import torch
from torch import Tensor

from deqlab.core.errors import InputError

State = Tensor | tuple[Tensor, ...]
# Where what comes out is of the kind that went in.
StateT = TypeVar("StateT", bound=State)


def flatten(x: State) -> Tensor:
    """The state as real (batch, n), the tensors of a tuple one after the other; shares memory with
    a single contiguous tensor.

    Tensors of a tuple that differ in precision are promoted to the finest.
    """
    if isinstance(x, tuple):
        return torch.cat([flatten(part) for part in x], dim=1)
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return real.reshape(real.shape[0], -1)


def unflatten(flat: Tensor, like: StateT) -> StateT:
    """The inverse of `flatten`: real (batch, n) in the form of `like`, whose batch may be
    another.
    """
    if not isinstance(like, tuple):
        return cast(StateT, _one_unflattened(flat, like))
    sizes = [part[0].numel() * (2 if part.is_complex() else 1) for part in like]
    pieces = zip(flat.split(sizes, dim=1), like)
    return formed_like(tuple(_one_unflattened(piece, part) for piece, part in pieces), like)


def _one_unflattened(flat: Tensor, like: Tensor) -> Tensor:
    shape = (flat.shape[0], *like.shape[1:])
    if not like.is_complex():
        return flat.reshape(shape).to(like.dtype)
    pairs = flat.to(like.dtype.to_real()).reshape(*shape, 2)
    # A piece of a longer vector may begin at an odd address or repeat after an odd number of
    # elements, which no complex view can.
    aligned = (
        pairs.storage_offset() % 2 == 0
        and pairs.stride(-1) == 1
        and not any(stride % 2 for stride in pairs.stride()[:-1])
    )
    return torch.view_as_complex(
        pairs if aligned else pairs.clone(memory_format=torch.contiguous_format)
    )


def parts(x: State) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    return x if isinstance(x, tuple) else (x,)


def formed_like(tensors: tuple[Tensor, ...], state: StateT) -> StateT:
    """`tensors` as a tuple where `state` is one, else the single tensor."""
    return cast(StateT, tuple(tensors) if isinstance(state, tuple) else tensors[0])


def batch_size(x: State) -> int:
    """Length of the first axis of every tensor of the state."""
    return parts(x)[0].shape[0]


def precision(x: State) -> torch.dtype:
    """The real dtype of the flat vectors of a state: the finest of its tensors'."""
    kinds = [part.dtype.to_real() for part in parts(x)]
    return reduce(torch.promote_types, kinds)


def select(x: StateT, index: Tensor) -> StateT:
    """The state of the batch members in `index`."""
    return formed_like(tuple(part[index] for part in parts(x)), x)


def check_state(name: str, x: State) -> None:
    """InputError where `x` is no state: floating or complex tensors (batch, ...) of one batch size
    on one device.
    """
    if (
        not isinstance(x, (Tensor, tuple))
        or not parts(x)
        or not all(isinstance(part, Tensor) for part in parts(x))
    ):
        raise InputError(
            f"{name}: {type(x).__name__} given, a tensor (batch, ...) or a tuple of such needed"
        )
    for part in parts(x):
        if not (part.is_floating_point() or part.is_complex()):
            raise InputError(f"{name}: dtype {part.dtype} given, a floating or complex one needed")
        if part.ndim == 0 or part.numel() == 0:
            raise InputError(
                f"{name}: shape {tuple(part.shape)} given, (batch, ...) with at least one element"
                " needed"
            )
    for what in ("device", "batch size"):
        seen = {part.device if what == "device" else part.shape[0] for part in parts(x)}
        if len(seen) > 1:
            raise InputError(
                f"{name}: tensors of different {what} ({', '.join(map(str, seen))}) in one tuple;"
                " one needed for all"
            )


def check_map(x: State, fx: State, name: str = "f") -> None:
    """InputError where f(x) is not of the kind of x."""
    if isinstance(x, tuple) != isinstance(fx, tuple) or len(parts(x)) != len(parts(fx)):
        kinds = [
            f"tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            for state in (x, fx)
        ]
        raise InputError(
            f"{name} changes the structure of its argument from {kinds[0]} to {kinds[1]}; both must"
            " be equal"
        )
    for before, after in zip(parts(x), parts(fx)):
        if not isinstance(after, Tensor):
            raise InputError(
                f"{name} returns {type(after).__name__} for a Tensor; a state of the same kind is"
                " needed"
            )
        for what in ("shape", "dtype", "device"):
            old, new = getattr(before, what), getattr(after, what)
            if old != new:
                raise InputError(
                    f"{name} changes the {what} of its argument from {old} to {new}; both must be"
                    " equal"
                )
