"""What unrolled networks share: a fixed number of learned steps, each the same kind of step.

K. Gregor and Y. LeCun, Learning fast approximations of sparse coding, ICML 2010. An iteration that
stops by its number and not by its residual: its image is whatever the last step leaves, and steps
past the trained ones are on nobody's word.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from deqlab.core.errors import InputError
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Model, Outcome
from deqlab.recon.steps.units import unit

State = TypeVar("State")


@dataclass(frozen=True)
class Measured:
    """What every step of a network may look at, in the unit of `deqlab.recon.steps.units`.

    kspace: y, complex (batch, coil, ...). A: its operator. projection: A^H y, complex (batch, y, x)
    or (batch, z, y, x).
    """

    kspace: Tensor
    A: LinearOperator
    projection: Tensor


class Unrolled(Model, Generic[State]):
    """image = u image(x_n) with x_0 = start(y, A) and x_(k+1) = step(k, x_k; y, A), in the unit u
    of A^H y, so that the image turns with a global phase of k-space and scales with it.

    depth: the trained number n of steps, the option `iterations`. A budget's max_evaluations asks
    for another one: fewer end sooner, and past the trained ones the last repeats.
    checkpointing: whether only the states between steps are kept for the backward pass, which
    computes each step again (T. Chen et al., Training deep nets with sublinear memory cost, 2016).
    """

    trained_by: ClassVar[str | None] = "supervised"
    checkpointing: bool = False

    @property
    def depth(self) -> int:
        """The trained number of steps."""
        return int(self.options.iterations)

    def seen(self, kspace: Tensor, A: LinearOperator) -> tuple[Tensor, LinearOperator]:
        """(k-space, operator) in place of those that were given, such as with weights of the
        samples or with refined coil maps; those themselves unless a network says otherwise.
        """
        return kspace, A

    @abstractmethod
    def start(self, measured: Measured) -> State:
        """x_0."""

    @abstractmethod
    def step(self, index: int, state: State, measured: Measured) -> State:
        """x_(k+1) from x_k by the weights of step k = index, 0 <= index < depth."""

    @abstractmethod
    def image(self, state: State) -> Tensor:
        """The image in a state, complex (batch, y, x)."""

    def check(self, budget: Budget) -> None:
        """InputError for a tolerance: nothing here stops by one."""
        if budget.tolerance is not None:
            raise InputError(
                f"{type(self).__name__}: takes a fixed number of steps, so tolerance does not"
                " apply; max_evaluations is the number of steps"
            )

    def images(
        self, kspace: Tensor, A: LinearOperator, steps: int | None = None, frozen: int = 0
    ) -> Iterator[Tensor]:
        """The image after 0, 1, ..., steps of them, complex (batch, y, x) each; None for `depth`.

        frozen: so many steps count as constants where the images are differentiated.
        InputError for an operator that the network does not take.
        """
        self.takes.check(A, type(self).__name__)
        for u, state in self._states(kspace, A, self.depth if steps is None else steps, frozen):
            yield u * self.image(state)

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, ...)."""
        for u, state in self._states(kspace, A, budget.max_evaluations or self.depth):
            last = u, state
        return Outcome(last[0] * self.image(last[1]))

    def _states(
        self, kspace: Tensor, A: LinearOperator, steps: int, frozen: int = 0
    ) -> Iterator[tuple[Tensor, State]]:
        kspace, A = self.seen(kspace, A)
        projection = A.H(kspace)
        u = unit(projection)
        measured = Measured(kspace / _over_coils(u, kspace), A, projection / u)
        state = self.start(measured)
        yield u, state
        for index in range(steps):
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= frozen):
                state = self._next(min(index, self.depth - 1), state, measured)
            yield u, state

    def _next(self, index: int, state: State, measured: Measured) -> State:
        if not (self.checkpointing and torch.is_grad_enabled()):
            return self.step(index, state, measured)
        found: State = checkpoint(self.step, index, state, measured, use_reentrant=False)
        return found


def _over_coils(u: Tensor, kspace: Tensor) -> Tensor:
    """A number for each batch member in the shape that divides its k-space."""
    return u.reshape(-1, *(1,) * (kspace.ndim - 1))
