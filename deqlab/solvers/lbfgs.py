"""L-BFGS as a fixed-point solver, for maps with a symmetric Jacobian."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.products import dots
from deqlab.solvers.quasi_newton import Pair, QuasiNewton
from deqlab.solvers.secant_pairs import SecantPairs


@dataclass(frozen=True)
class LBFGS(QuasiNewton):
    """x <- x + B g with B symmetric positive definite: for f(x) = x - grad phi(x), where I - J is
    the Hessian of phi.

    The map must have a symmetric Jacobian, and I - J should be positive definite at the fixed
    point: gradient descent on a convex phi, or a denoiser that is a gradient. For other maps B
    tends to nothing in particular; take Broyden. B starts as I and is scaled by what the newest
    pair says of the curvature, so f need not have the best step size.
    memory: number of pairs kept, each two vectors of the size of x; the oldest goes first. A pair
    without positive curvature is left out. line_search: on ||g||, for a solve that knows no phi;
    rarely worth its evaluations. opa: None, or OPA(direction). `Solution.inverse` is B, which is
    its own transpose, exact along the last step.
    Source: J. Nocedal, Updating quasi-Newton matrices with limited storage, Math. Comp. 35 (1980).
    """

    def _start(self, at: Evaluation) -> SecantPairs:
        return SecantPairs.identity(at.x, self.memory)

    def _learn(self, memory: SecantPairs, pair: Pair, at: Evaluation) -> Tensor:
        before, after = memory.dots, memory.products(pair.after)
        slot = memory.add(pair.s, pair.y, before - after)
        # The products of the rows with g at the iterate, known but for the new pair.
        g, newest = pair.choose(pair.before, pair.after), slice(2 * slot, 2 * slot + 2)
        known = pair.choose(before, after)
        fresh = dots(memory.rows[:, newest], g)
        memory.dots = torch.cat((known[:, : 2 * slot], fresh, known[:, 2 * slot + 2 :]), dim=1)
        return memory.combine(g, memory.dots)

    def _inverse(self, memory: SecantPairs) -> LowRankInverse:
        return memory.inverse()
