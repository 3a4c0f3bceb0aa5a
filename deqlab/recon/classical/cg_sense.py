"""Reconstruction without learning: zero filling and regularised least squares."""

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.operators import LinearOperator
from deqlab.solvers import Solution, conjugate_gradient


class CGSense(nn.Module):
    """argmin ||A x - y||^2 + weight ||x||^2 by conjugate gradients on the normal equations.

    weight: Tikhonov weight relative to the operator's norm, which is at most 1 for normalised coil
    maps. tolerance, max_iterations: of the conjugate gradients. Source: K. P. Pruessmann et al.,
    Advances in sensitivity encoding with arbitrary k-space trajectories, MRM 46 (2001).
    """

    def __init__(self, weight: float = 1e-2, tolerance: float = 1e-5, max_iterations: int = 200):
        super().__init__()
        if not weight >= 0:
            raise InputError(f"weight: {weight} given, a number >= 0 needed")
        self.weight, self.tolerance, self.max_iterations = weight, tolerance, max_iterations

    @torch.no_grad()
    def solve(self, kspace: Tensor, A: LinearOperator) -> Solution:
        """The Solution of the normal equations; its residual is ||A^H y - (A^H A + weight) x|| /
        ||A^H y||.
        """
        return conjugate_gradient(
            lambda x: A.normal(x) + self.weight * x,
            A.H(kspace),
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return self.solve(kspace, A).value
