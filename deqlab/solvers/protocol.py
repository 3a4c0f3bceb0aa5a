"""What a map, a solver and a criterion must offer to `solve`. Nothing has to inherit from these:
whatever has the methods is one.
"""

from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.flat import StateT
from deqlab.solvers.low_rank import LowRankInverse

MemoryT = TypeVar("MemoryT")


class StateMap(Protocol[StateT]):
    """f of x = f(x): a tensor (batch, ...) to one of the same shape, dtype and device, or a tuple
    of such to a tuple. Any function will do.

    It returns a new tensor, and treats every member of the batch for itself.
    """

    def __call__(self, x: StateT, /) -> StateT:
        """f(x)."""
        ...


@runtime_checkable
class SelectableMap(StateMap[StateT], Protocol[StateT]):
    """A map that can be restricted, so that samples that are done leave the batch and the work
    falls with them. Of any other map they stay in the batch, rest where they are, and are evaluated
    too.
    """

    def select(self, index: Tensor, /) -> StateMap[StateT]:
        """The map of the batch members in `index`, long (n,): select(index)(x[index]) is
        f(x)[index].
        """
        ...


class Solver(Protocol[MemoryT]):
    """How the next iterate follows from the evaluations so far: a frozen dataclass of its options,
    whose memory is handed from step to step. It knows flat vectors only, real (batch, n).

    needs_products: whether it takes products with J^T, so that the graph of f is recorded.
    keeps_inverse: whether `inverse` returns more than None.
    """

    needs_products: ClassVar[bool]
    keeps_inverse: ClassVar[bool]

    def init(self, x: Tensor) -> MemoryT:
        """The memory before the first evaluation, at x."""
        ...

    def step(self, state: MemoryT, at: Evaluation) -> tuple[Tensor, MemoryT]:
        """The next point at which f is evaluated, and the memory that has learned of `at`; `state`
        may be changed in place.
        """
        ...

    def select(self, state: MemoryT, index: Tensor) -> MemoryT:
        """The memory of the batch members in `index`, which shares nothing that a step changes."""
        ...

    def inverse(self, state: MemoryT, at: Evaluation) -> LowRankInverse | None:
        """What it knows of (I - J)^-1, the last evaluation included; asked of samples that
        leave.
        """
        ...


class Criterion(Protocol):
    """The residual of a sample as one number, which a tolerance is compared with."""

    def __call__(self, size: float, length: float, /) -> float:
        """The residual from ||f(x) - x|| and ||f(x)||."""
        ...

    def smallest(self, dtype: torch.dtype, /) -> float:
        """The smallest positive tolerance that makes sense in this precision."""
        ...


# A solver whatever it remembers, and a map whatever its state is.
AnySolver = Solver[Any]
AnyMap = StateMap[Any]
