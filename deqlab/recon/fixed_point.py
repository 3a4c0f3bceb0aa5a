"""Methods whose image is a fixed point, and the one way in which they are solved."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Iterative, Outcome
from deqlab.solvers import Solution, solve
from deqlab.solvers.flat import State, StateT
from deqlab.solvers.protocol import AnySolver, StateMap


class ReconstructionMap(StateMap[StateT], Protocol[StateT]):
    """f for one batch of measurements, a function of a state that holds an image.

    projection: A^H y, complex (batch, y, x).
    """

    projection: Tensor

    def state(self, image: Tensor) -> StateT:
        """The state that belongs to an image (batch, y, x): a start for a solve."""

    def image(self, state: StateT) -> Tensor:
        """The image (batch, y, x) in a state."""

    def select(self, index: Tensor) -> "ReconstructionMap[StateT]":
        """The map of the batch members in `index`, so that finished samples leave a solve."""


MapT = TypeVar("MapT", bound=ReconstructionMap[Any])


class FixedPointMethod(Iterative, Generic[MapT]):
    """image = f.image(x*) with x* = f(x*), f of the kind MapT. solver, tolerance, max_evaluations:
    how it is found.
    """

    solver: AnySolver

    @abstractmethod
    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> MapT:
        """f for these measurements."""

    def iterated_map(self, kspace: Tensor, A: LinearOperator) -> MapT:
        """The map that is iterated: f, or another with the fixed points of f that reaches them
        sooner. Residuals are its own.
        """
        return self.fixed_point_map(kspace, A)

    def start(self, f: MapT) -> Tensor:
        """The image that a solve begins with: the zero-filled one."""
        return f.projection

    @torch.no_grad()
    def solve(
        self,
        kspace: Tensor,
        A: LinearOperator,
        tolerance: float | Tensor | None = None,
        max_evaluations: int | Tensor | None = None,
        x0: State | Solution[Any] | None = None,
        callback: Callable[..., None] | None = None,
    ) -> Solution[Tensor]:
        """The Solution, without a graph; its value is the image, its residual that of the state.

        tolerance, max_evaluations: numbers, or tensors (batch,) with one for each sample; the
        method's own where None. x0: an image, a state or an earlier Solution to begin with.
        callback: as in `deqlab.solvers.solve`.
        """
        f = self.iterated_map(kspace, A)
        first = x0.value if isinstance(x0, Solution) else x0
        if not isinstance(first, tuple):
            first = f.state(self.start(f) if first is None else first)
        limits = self.limits(tolerance, max_evaluations)
        solution = solve(f, first, self.solver, *limits, callback)
        return replace(solution, value=f.image(solution.value))

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """The image of the fixed point."""
        solution = self.solve(kspace, A, budget.tolerance, budget.max_evaluations)
        return Outcome(solution.value, solution)
