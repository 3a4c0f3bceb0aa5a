"""Anderson acceleration: combine the last few evaluations so that their residuals cancel.

D. G. Anderson, Iterative procedures for nonlinear integral equations, J. ACM 12 (1965); in the
difference form of H. F. Walker and P. Ni, Anderson acceleration for fixed-point iterations, SIAM J.
Numer. Anal. 49 (2011), eq. (2.2).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deqlab.core.errors import InputError, positive
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.history import capacity, grown, grown_square
from deqlab.solvers.products import dot, dots, length


@dataclass
class AndersonState:
    """History as differences between successive evaluations: a ring of at most `memory` rows,
    filled up to `filled`.

    dots: <row of delta_g, last_g>, (batch, filled), as the next Gram matrix needs it. gram:
        float64.
    """

    last_f: Tensor  # (batch, n)
    last_g: Tensor  # (batch, n): the residual f(x) - x
    delta_f: Tensor  # (batch, rows, n)
    delta_g: Tensor  # (batch, rows, n)
    gram: Tensor  # (batch, rows, rows): inner products of delta_g
    dots: Tensor
    filled: int = 0
    position: int = 0


@dataclass(frozen=True)
class Anderson:
    """x <- f(x) - dF c, c = argmin ||g - dG c||: each sample solves its own small least-squares
    problem.

    memory: number of differences kept, each two vectors of the size of x, allocated as they come.
        10 need as many evaluations as GMRES for a symmetric Jacobian of spectral radius 0.97; a
        nonsymmetric one may want 20 or more.
    regularization: added to the diagonal of the Gram matrix *relative* to that diagonal, so that
        neither the scale of x nor a shrinking residual changes the iteration.
    damping (beta): weight of the residual in the mixed step.
    Safeguard, per sample: where the small system has no solution, or one whose terms exceed
    eps^-1/2 ||g|| and so cancel to less than half of the digits, the step is a damped Picard step.
    The default regularisation never lets it come to that.
    """

    memory: int = 10
    regularization: float = 1e-6
    damping: float = 1.0
    needs_products: ClassVar[bool] = False
    keeps_inverse: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.memory >= 1:
            raise InputError(f"memory: {self.memory} given, at least 1 needed")
        if not 0 <= self.regularization < math.inf:
            raise InputError(
                f"regularization: {self.regularization} given, a finite number >= 0 needed"
            )
        positive("damping", self.damping)

    def init(self, x: Tensor) -> AndersonState | None:
        """Nothing is allocated before the first evaluation."""
        return None

    def step(self, state: AndersonState | None, at: Evaluation) -> tuple[Tensor, AndersonState]:
        """The next iterate, real (batch, n)."""
        if state is None:
            batch, n = at.x.shape
            empty = at.x.new_empty(batch, 0, n)
            gram = torch.zeros(batch, 0, 0, dtype=torch.float64, device=at.x.device)
            state = AndersonState(at.f, at.g, empty, empty, gram, at.x.new_empty(batch, 0))
            return (at.f if self.damping == 1.0 else at.x + self.damping * at.g), state
        right = self._remember(state, at)
        used = slice(0, state.filled)
        largest = torch.finfo(at.x.dtype).eps ** -0.5
        row = (
            self._coefficients(state.gram[:, used, used], right, length(at.g), largest)
            .to(at.x.dtype)
            .unsqueeze(1)
        )
        step = torch.baddbmm(at.f.unsqueeze(1), row, state.delta_f[:, used], alpha=-1).squeeze(1)
        if self.damping != 1.0:
            mixed = torch.baddbmm(at.g.unsqueeze(1), row, state.delta_g[:, used], alpha=-1).squeeze(
                1
            )
            step = step - (1 - self.damping) * mixed
        return step, state

    def select(self, state: AndersonState | None, index: Tensor) -> AndersonState | None:
        """The state of the batch members in `index`."""
        if state is None:
            return None
        used = slice(0, state.filled)
        history = (
            state.delta_f[index, used],
            state.delta_g[index, used],
            state.gram[index, used, used],
            state.dots[index],
        )
        return AndersonState(
            state.last_f[index], state.last_g[index], *history, state.filled, state.position
        )

    def inverse(self, state: AndersonState | None, at: Evaluation) -> None:
        """Anderson keeps none."""
        return None

    def _remember(self, state: AndersonState, at: Evaluation) -> Tensor:
        """Add the newest differences and their Gram matrix; returns <row of delta_g, g>, (batch,
        filled).
        """
        slot = state.position
        if slot == state.delta_g.shape[1]:
            self._grow(state)
        torch.sub(at.f, state.last_f, out=state.delta_f[:, slot])
        torch.sub(at.g, state.last_g, out=state.delta_g[:, slot])
        known, state.filled = state.filled, max(state.filled, slot + 1)
        used = slice(0, state.filled)
        right = dots(state.delta_g[:, used], at.g)
        # <row, newest difference> is the change of <row, g>, which is at hand but for the newest
        # row: one pass over the history saved.
        column = right.to(torch.float64, copy=True)
        column[:, :known] -= state.dots
        newest = state.delta_g[:, slot]
        column[:, slot] = dot(newest, newest).squeeze(1)
        state.gram[:, slot, used] = column
        state.gram[:, used, slot] = column
        state.last_f, state.last_g, state.dots = at.f, at.g, right
        state.position = (slot + 1) % self.memory
        return right

    def _grow(self, state: AndersonState) -> None:
        rows = capacity(state.delta_g.shape[1], self.memory)
        state.delta_f, state.delta_g = grown(state.delta_f, rows), grown(state.delta_g, rows)
        state.gram = grown_square(state.gram, rows)

    def _coefficients(self, gram: Tensor, right: Tensor, size: Tensor, largest: float) -> Tensor:
        diagonal = torch.diagonal(gram, dim1=-2, dim2=-1)
        # Unit diagonal first: differences shrink as the solve converges, and one regularisation
        # must fit old and new alike.
        scale = diagonal.clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
        system = gram * scale.unsqueeze(-1) * scale.unsqueeze(-2)
        system = system + self.regularization * torch.eye(
            system.shape[-1], dtype=system.dtype, device=system.device
        )
        solution, failed = torch.linalg.solve_ex(system, right.double() * scale)
        # In units of ||g||: the terms of the mixture that cancel one another.
        terms = torch.linalg.vector_norm(solution, dim=-1, keepdim=True)
        usable = (terms <= largest * size) & (failed == 0).unsqueeze(-1)
        return torch.where(usable, solution * scale, torch.zeros_like(solution))
