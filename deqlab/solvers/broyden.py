"""Broyden's method: Newton's, with an inverse Jacobian that is learned from the steps themselves.

C. G. Broyden, A class of methods for solving nonlinear simultaneous equations, Math. Comp. 19
(1965), the "good" method, whose inverse form is B <- B + (s - B y) s^T B / (s^T B y) = (I + w s^T)
B: then B y = s, and B^-1 changes as little as that allows.
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.product_form import ProductForm, corrected
from deqlab.solvers.quasi_newton import Pair, QuasiNewton


@dataclass(frozen=True)
class Broyden(QuasiNewton):
    """x <- x + B g: superlinear near a fixed point where I - J is regular, contraction or not;
    starts as Picard, with B = I.

    memory: number of corrections kept, each two vectors of the size of x; a full memory is reduced
    to the half of its rank that matters most.
    line_search: None for full steps, or Backtracking for starts from which full steps run away.
    opa: None, or OPA(direction). `Solution.inverse` is B, exact along the last step: B (g(x) - g(x
        + s)) = s.
    """

    def _start(self, at: Evaluation) -> ProductForm:
        return ProductForm.identity(at.x, self.memory)

    def _learn(self, memory: ProductForm, pair: Pair, at: Evaluation) -> Tensor:
        before = pair.direction
        if memory.full:
            memory.reduce()
            before = memory.apply(pair.before)
        # B y from two products that are needed anyway: the old direction and the new one.
        after = memory.apply(pair.after)
        correction = memory.correct(pair.s, before - after)
        return corrected(pair.choose(before, after), *correction)

    def _inverse(self, memory: ProductForm) -> LowRankInverse:
        return memory.inverse()
