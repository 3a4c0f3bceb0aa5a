"""Regularised least squares with coil maps, by conjugate gradients.

K. P. Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, MRM
46 (2001).
"""

import torch
from torch import Tensor

from deqlab.core.options import Count, NonNegative, option, options
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Iterative, Method, Outcome
from deqlab.solvers import Solution, conjugate_gradient


@options
class CGSense(Iterative, Method):
    """argmin ||A x - y||^2 + weight ||x||^2 by conjugate gradients on the normal equations."""

    weight: NonNegative = option(
        1e-2, "Tikhonov weight relative to ||A||, which is at most 1 for normalised coil maps"
    )
    tolerance: NonNegative = option(
        1e-5, "of the normal equations' residual, relative to ||A^H y||, at which it stops"
    )
    max_evaluations: Count = option(200, "most iterations, each one product with A^H A")

    @torch.no_grad()
    def solve(
        self, kspace: Tensor, A: LinearOperator, budget: Budget = Budget()
    ) -> Solution[Tensor]:
        """The Solution of the normal equations; its residual is ||A^H y - (A^H A + weight) x|| /
        ||A^H y||.
        """
        tolerance, most = self.limits(budget.tolerance, budget.max_evaluations)
        return conjugate_gradient(
            lambda x: A.normal(x) + self.weight * x,
            A.H(kspace),
            tolerance=tolerance,
            max_iterations=most,
        )

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        solution = self.solve(kspace, A, budget)
        return Outcome(solution.value, solution)
