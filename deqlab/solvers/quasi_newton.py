"""What Broyden, adjoint Broyden and L-BFGS share: x <- x + t B g with B ~ (I - J)^-1, corrected by
every evaluation.

The residual g(x) = f(x) - x has the Jacobian -(I - J), so a step s and the change y = g(x) - g(x +
s) obey y ~ (I - J) s. Whether the evaluation at x + s was a full step or a trial that is rejected,
the pair corrects B.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.line_search import Backtracking
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.opa import OPA, probe
from deqlab.solvers.products import length


@dataclass(frozen=True)
class Pair:
    """What an evaluation at x + s teaches, real (batch, n): s, y = g(x) - g(x + s), both residuals,
    direction = B g(x).
    """

    s: Tensor
    y: Tensor
    before: Tensor
    after: Tensor
    direction: Tensor
    accepted: Tensor | None  # whether x + s is the new iterate, (batch, 1); None: in every sample

    def choose(self, old: Tensor, new: Tensor) -> Tensor:
        """`new` for the samples that accepted the step, `old` for the others."""
        return new if self.accepted is None else torch.where(self.accepted, new, old)


@dataclass
class QuasiNewtonState:
    """The iterate x, its residual g and direction = B g; what B is made of; and how the step under
    trial was made.

    length: t of the step under trial, (batch, 1). None: t = 1 for all samples and every step is
        accepted.
    steps: evaluations that were steps. probing: whether the evaluation under way is none, but
        OPA's.
    """

    x: Tensor
    g: Tensor
    direction: Tensor
    memory: Any
    length: Tensor | None = None
    steps: int = 0
    probing: bool = False


@dataclass(frozen=True)
class QuasiNewton:
    """The common step. A solver adds how B starts (`_start`), learns (`_learn`) and is applied."""

    memory: int = 20
    line_search: Backtracking | None = None
    opa: OPA | None = None
    needs_products: ClassVar[bool] = False
    keeps_inverse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.memory >= 1:
            raise InputError(f"memory: {self.memory} given, at least 1 needed")

    def init(self, x: Tensor) -> None:
        """Nothing is known before the first evaluation."""
        return None

    def step(
        self, state: QuasiNewtonState | None, at: Evaluation
    ) -> tuple[Tensor, QuasiNewtonState]:
        """The next point at which f is evaluated, real (batch, n)."""
        if state is None:
            state = QuasiNewtonState(at.x, at.g, at.g, self._start(at))
            if self.line_search is not None:
                state.length = at.x.new_ones(len(at.x), 1)
            return at.x + at.g, state
        if state.probing:
            state.probing = False
            self._absorb(state, at, torch.zeros(len(at.x), 1, dtype=torch.bool, device=at.x.device))
            return self._next(state), state
        accepted = self._judge(state, at)
        self._absorb(state, at, accepted)
        state.steps += 1
        if self.opa is not None and state.steps % self.opa.every == 0:
            extra = self._attend(self.opa, state, at)
            state.probing = extra is not None
            return (self._next(state) if extra is None else state.x + extra), state
        return self._next(state), state

    def select(self, state: QuasiNewtonState | None, index: Tensor) -> QuasiNewtonState | None:
        """The state of the batch members in `index`."""
        if state is None:
            return None
        length = None if state.length is None else state.length[index]
        vectors = (state.x[index], state.g[index], state.direction[index])
        return QuasiNewtonState(
            *vectors, state.memory.select(index), length, state.steps, state.probing
        )

    def inverse(self, state: QuasiNewtonState | None, at: Evaluation) -> LowRankInverse:
        """B ~ (I - J)^-1, the last evaluation included, which becomes the iterate of `state`."""
        if state is None:
            return LowRankInverse.identity(at.x)
        self._absorb(state, at, None)
        return self._inverse(state.memory)

    def _judge(self, state: QuasiNewtonState, at: Evaluation) -> Tensor | None:
        """Which samples accept the step under trial, (batch, 1), and how long their next one is;
        None where all accept every step.
        """
        search, tried = self.line_search, state.length
        if search is None or tried is None:
            return None
        accepted = search.accepts(length(at.g), length(state.g), tried)
        state.length = torch.where(accepted, torch.ones_like(tried), search.shorter(tried))
        return accepted

    def _absorb(self, state: QuasiNewtonState, at: Evaluation, accepted: Tensor | None) -> None:
        pair = Pair(at.x - state.x, state.g - at.g, state.g, at.g, state.direction, accepted)
        state.direction = self._learn(state.memory, pair, at)
        state.x, state.g = pair.choose(state.x, at.x), pair.choose(state.g, at.g)

    def _next(self, state: QuasiNewtonState) -> Tensor:
        return state.x + (
            state.direction if state.length is None else state.length * state.direction
        )

    def _attend(self, opa: OPA, state: QuasiNewtonState, at: Evaluation) -> Tensor | None:
        """OPA's turn: the step e of a probe from the iterate, or None where no evaluation is
        wanted.
        """
        d = at.outer(opa.direction)
        return probe(state.direction, state.x, self._inverse(state.memory).apply(d))

    def _start(self, at: Evaluation) -> Any:
        """B = I."""
        raise NotImplementedError

    def _learn(self, memory: Any, pair: Pair, at: Evaluation) -> Tensor:
        """Correct B in place; returns B g for g at the iterate that `pair` ends at."""
        raise NotImplementedError

    def _inverse(self, memory: Any) -> LowRankInverse:
        """B in the form that a Solution carries."""
        raise NotImplementedError
