"""What every method is to those who use it: `image = recon(kspace, A)`.

`recon.run(kspace, A, budget)` gives the Solution with the image, where the method has one, so that
evaluation, ablation, plots and notebooks never ask which method they hold. Three kinds of methods
share this: a `Method` is a frozen object and nothing else, a `Model` is a module with weights, and
an `Iterative` one of either stops by a tolerance and a budget.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, overload

import torch
from annotated_types import Gt, Lt
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.solvers import Solution


@options
class Budget:
    """When an iteration stops; None keeps the method's own number."""

    tolerance: Annotated[float, Gt(0), Lt(1)] | None = option(
        None, "relative residual at which it has converged"
    )
    max_evaluations: Count | None = option(None, "most evaluations, or iterations, of a slice")


@dataclass(frozen=True)
class Outcome:
    """What a method made of k-space.

    image: complex (batch, y, x), or (batch, z, y, x). solution: how the iteration ended, per
    sample; None for a method without one.
    """

    image: Tensor
    solution: Solution[Tensor] | None = None


@dataclass(frozen=True)
class Takes:
    """The operators that a method is made for. what: in words. dimensions: of the images.
    cartesian: whether samples must lie on the grid; lines: whether as whole phase-encode lines.
    """

    what: str
    dimensions: tuple[int, ...] = (2,)
    cartesian: bool = False
    lines: bool = False

    def check(self, A: LinearOperator, name: str) -> None:
        """InputError unless A is such an operator."""
        sampled = not self.cartesian or (
            isinstance(A, CartesianOperator) and (not self.lines or A.mask.shape[-2] == 1)
        )
        if not sampled or A.dimensions not in self.dimensions:
            raise InputError(f"{name}: takes {self.what}; {type(A).__name__} given; use cg-sense")


LINES = Takes("whole phase-encode lines of a Cartesian grid", cartesian=True, lines=True)
CARTESIAN = Takes("samples of a Cartesian grid", cartesian=True)
KSPACE = Takes("samples of k-space in the plane, on the grid or off it")
ANY = Takes("any linear operator of images", (2, 3))


class Reconstructor(ABC):
    """A method. takes: its operators. trained_by: the name of its objective (see
    `deqlab.training.objectives`), None where nothing is learned. iterates: whether it has a
    tolerance and a budget.
    """

    takes: ClassVar[Takes] = ANY
    trained_by: ClassVar[str | None] = None
    iterates: ClassVar[bool] = False

    def run(self, kspace: Tensor, A: LinearOperator, budget: Budget = Budget()) -> Outcome:
        """The Outcome for k-space (batch, coil, ...) that A measures, within `budget`.

        InputError for an operator that the method does not take, and for a budget where nothing
        iterates.
        """
        self.check(budget)
        self.takes.check(A, type(self).__name__)
        return self.reconstruct(kspace, A, budget)

    def check(self, budget: Budget) -> None:
        """InputError where the budget does not apply to this method."""
        if not self.iterates and budget != Budget():
            raise InputError(
                f"{type(self).__name__}: has no solver, so tolerance and max_evaluations do not"
                " apply"
            )

    @abstractmethod
    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """What a method writes; `run` has checked its arguments."""

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return self.run(kspace, A).image

    @abstractmethod
    def __call__(self, kspace: Tensor, A: LinearOperator, /) -> Tensor:
        """As `forward`."""

    @abstractmethod
    def to(self, device: torch.device | str, /) -> Self:
        """Itself, with all that it holds on the device."""


class Iterative(Reconstructor):
    """A method that iterates. tolerance, max_evaluations: its own numbers, where nobody says
    otherwise.
    """

    iterates: ClassVar[bool] = True
    tolerance: float
    max_evaluations: int

    @overload
    def limits(self, tolerance: float | None, max_evaluations: int | None) -> tuple[float, int]: ...

    @overload
    def limits(
        self, tolerance: float | Tensor | None, max_evaluations: int | Tensor | None
    ) -> tuple[float | Tensor, int | Tensor]: ...

    def limits(self, tolerance: Any, max_evaluations: Any) -> Any:
        """Both numbers, the method's own where None."""
        return (
            self.tolerance if tolerance is None else tolerance,
            self.max_evaluations if max_evaluations is None else max_evaluations,
        )


class Method(Reconstructor):
    """A method without weights: a frozen object, which needs no device."""

    def __call__(self, kspace: Tensor, A: LinearOperator, /) -> Tensor:
        """As `forward`."""
        return self.forward(kspace, A)

    def to(self, device: torch.device | str, /) -> Self:
        """Itself."""
        return self


class Model(Reconstructor, nn.Module):
    """A method with weights. `options` is what its card stores of its architecture.

    A subclass names its options class as `Options` and takes their fields as its arguments.
    """

    Options: ClassVar[Any]
    options: Any
    # A module has both, under the very same promise.
    __call__ = nn.Module.__call__
    to = nn.Module.to

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)

    def denoisers(self) -> list[nn.Module]:
        """Its networks that may start from one trained denoiser; the first is what others may start
        from.
        """
        return [part for name, part in self.named_children() if name == "denoiser"]

    def scalars(self) -> dict[str, float]:
        """Learned numbers that a log of the training shows."""
        return {}

    def after_step(self) -> None:
        """Bring the weights back to what is promised of them, once after each training step."""
