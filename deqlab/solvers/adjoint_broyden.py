"""Adjoint Broyden: the inverse Jacobian learned from products with the transposed Jacobian, one
with each evaluation.

S. Schlenkrich, A. Griewank and A. Walther, On the local convergence of adjoint Broyden methods,
Math. Program. 121 (2010): an update that makes the model of I - J exact from the left, v^T model
= v^T (I - J), for one direction v. Z. Ramzi et al., SHINE: SHaring the INverse Estimate from the
forward pass for bi-level optimization and implicit models, ICLR 2022, take it because the left is
the side from which a backward pass needs it.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.opa import OPA
from deqlab.solvers.product_form import ProductForm
from deqlab.solvers.quasi_newton import Pair, QuasiNewton, QuasiNewtonState


@dataclass(frozen=True)
class AdjointBroyden(QuasiNewton):
    """x <- x + B g, with B^T (I - J)^T v = v for v = g at the newest iterate and J there:
    superlinear, exact on the side of gradients.

    Each evaluation but the first of a sample costs one vector-Jacobian product, counted in
    `Solution.products`, and f records one graph at a time. v = g is the paper's residual choice;
    for a full step it is its secant choice as well, as y - (I - J) s = -g(x + s).
    memory, line_search: as for Broyden. opa: OPA(direction) for the gradient of the outer loss.
    Raises InputError (from the solve) where the output of f carries no graph of its argument.
    """

    needs_products: ClassVar[bool] = True

    def _start(self, at: Evaluation) -> ProductForm:
        return ProductForm.identity(at.x, self.memory)

    def _learn(self, memory: ProductForm, pair: Pair, at: Evaluation) -> Tensor:
        self._match(memory, pair.after, at)
        return memory.transpose(pair.choose(pair.before, pair.after))

    def inverse(self, state: QuasiNewtonState | None, at: Evaluation) -> LowRankInverse:
        """B ~ (I - J)^-1, the last evaluation included, and OPA's direction there."""
        inverse = super().inverse(state, at)
        if self.opa is None or state is None:
            return inverse
        self._attend(self.opa, state, at)
        return self._inverse(state.memory)

    def _attend(self, opa: OPA, state: QuasiNewtonState, at: Evaluation) -> None:
        memory = state.memory
        self._match(memory, memory.apply(at.outer(opa.direction)), at)
        state.direction = memory.transpose(state.g)

    def _match(self, memory: ProductForm, v: Tensor, at: Evaluation) -> None:
        """Correct B, whose transpose `memory` holds, to B^T (I - J)^T v = v: Broyden's update of
        B^T for the pair (v, (I - J)^T v).
        """
        if memory.full:
            memory.reduce()
        memory.correct(v, memory.apply(v - at.transpose(v)))

    def _inverse(self, memory: ProductForm) -> LowRankInverse:
        return memory.inverse().adjoint()
