"""Whose memory is it? What f returns must be its caller's: a map that writes its result into a
buffer of its own each time (`out=`, a replayed CUDA graph, a wrapped array) changes the iterate
while that is being compared with it, and every residual becomes 0.
"""

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.flat import State, formed_like, parts
from deqlab.solvers.protocol import AnyMap

# A map may write into two buffers in turn.
BUFFERS = 2


class Borrowed:
    """Watches, from evaluation to evaluation, that f leaves alone what it was shown and what it has
    returned before.
    """

    def __init__(self) -> None:
        self._first = True
        # Which tensors of a state f hands through or never changes, so that their memory may recur.
        self._harmless: set[int] = set()

    def before(self, x: State, best: State) -> list[int]:
        """What `check` compares with: how often each tensor has been changed in place."""
        return [
            part._version for state in (x, best) for part in parts(state) if not part.is_inference()
        ]

    def check(self, f: AnyMap, x: State, best: State, fx: State, seen: list[int]) -> None:
        """InputError where evaluating f(x) has changed x or best, or will change f(x) later.

        seen: of `before`, from before that evaluation. Costs two more evaluations where f(x) lies
        in the memory of x or best and nothing else tells whether f will write there again.
        """
        changed = seen != self.before(x, best)
        if changed and self._first:
            raise InputError(
                "f changes its argument in place; its image is compared with it, so f must return a"
                " new tensor"
            )
        if changed:
            raise InputError(_AGAIN)
        held = {_address(part) for state in (x, best) for part in parts(state)}
        shared = {at for at, part in enumerate(parts(fx)) if _address(part) in held}
        # At the first evaluation both are copies that no one else has: f handed its argument on.
        if not self._first and shared - self._harmless and _rewrites(f, fx):
            raise InputError(_AGAIN)
        self._harmless |= shared
        self._first = False


def _address(part: Tensor) -> int:
    return part.untyped_storage().data_ptr()


@torch.no_grad()
def _rewrites(f: AnyMap, fx: State) -> bool:
    """Whether evaluating f further changes what it has returned."""
    kept = tuple(part.clone() for part in parts(fx))
    x = formed_like(tuple(part.clone() for part in kept), fx)
    for _ in range(BUFFERS):
        x = formed_like(tuple(part.clone() for part in parts(f(x))), fx)
    return not all(
        torch.allclose(now, old, rtol=0, atol=0, equal_nan=True)
        for now, old in zip(parts(fx), kept)
    )


_AGAIN = (
    "f returns memory that it has returned before, or changes its argument in place: it writes into"
    " a buffer of its own, and so changed the iterate that its image is compared with; f must"
    " return a new tensor, such as buffer.clone()"
)
