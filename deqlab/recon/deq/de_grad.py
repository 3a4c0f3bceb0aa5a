"""DE-Grad: gradient descent with a denoiser's residual as the regulariser's gradient,
preconditioned.

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging,
IEEE TCI 7 (2021), eq. (9).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from deqlab.core.options import Positive, option, options
from deqlab.operators import LinearOperator
from deqlab.recon.deq.base import SteppedOptions, SteppedReconstructor, log_parameter
from deqlab.recon.deq.fixed_point_map import OneImageMap
from deqlab.recon.steps.chebyshev import ChebyshevInverse


@dataclass
class GradientMap(OneImageMap):
    """DE-Grad: f(x) = x - eta (A^H (A x - y) + weight (x - R(x))), gradient descent with the
    denoiser's residual as a regulariser's gradient.

    Where Lip(R) <= L < 1 and weight = 1, Lip(f) <= 1 - eta + eta L for eta <= 1 / (1 + ||A||^2): a
    contraction even in the null space of A.

    weight: one for all, or one for each sample, real (batch, 1, 1).
    """

    weight: Tensor | float = 1.0

    def gradient(self, x: Tensor) -> Tensor:
        """A^H (A x - y) + weight (x - R(x)): what vanishes at a fixed point."""
        return self.gradient_beside(x, self.denoised(x))

    def gradient_beside(self, x: Tensor, denoised: Tensor) -> Tensor:
        """The gradient with another image in the place of R(x)."""
        return self.data_gradient(x) + self.weight * (x - denoised)

    def __call__(self, x: Tensor, /) -> Tensor:
        return x - self.step * self.gradient(x)

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        weight = self.weight
        if isinstance(weight, Tensor) and weight.ndim > 0 and len(weight) > 1:
            weight = weight[index]
        return replace(super().select(index), weight=weight)


# How far the preconditioner may be from an inverse, relatively: the rate hardly feels it, and the
# fixed points not at all.
# A weight below this share of ||A||^2 is preconditioned as if it were this share: the degree stays
# below 20, and the fixed points where they are.
ACCURACY = 0.1
LEAST_WEIGHT = 0.01


@dataclass
class PreconditionedMap(GradientMap):
    """f(x) = x - eta P (A^H (A x - y) + weight (x - R(x))), P a polynomial in A^H A near (A^H A +
    weight)^-1.

    Its fixed points are those of `GradientMap` with the same denoiser and weight, exactly, whatever
    P and the step of either. In the null space of A the step is eta, where that of `GradientMap` is
    eta weight; there lie the slowest modes. With the inverse itself and eta = 1 it is f(x) = (A^H A
    + weight)^-1 (A^H y + weight R(x)), the iteration of MoDL (H. K. Aggarwal, M. P. Mani and M.
    Jacob, IEEE TMI 38, 2019), and Lip(f) <= Lip(R) whatever A is. The price is a few products with
    A^H A an evaluation.

    largest: a bound of ||A||^2 per sample, real (batch, 1, 1).
    """

    largest: Tensor = field(kw_only=True)

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.stepped(x, self.gradient(x))

    def stepped(self, x: Tensor, gradient: Tensor) -> Tensor:
        """x - eta P gradient."""
        return x - self.step * self.inverse.apply(self._shifted, gradient)

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        return replace(super().select(index), largest=self.largest[index])

    @cached_property
    def inverse(self) -> ChebyshevInverse:
        """P; constant for gradients, for what it is applied to vanishes at the fixed point."""
        lowest = torch.maximum(
            torch.as_tensor(self.weight).detach().to(self.largest), LEAST_WEIGHT * self.largest
        )
        return ChebyshevInverse(lowest, lowest + self.largest, ACCURACY)

    def _shifted(self, x: Tensor) -> Tensor:
        return self.A.normal(x) + self.inverse.lowest * x


@options
class DEGradOptions(SteppedOptions):
    """The architecture of `DEGrad`."""

    weight: Positive = option(1.0, "of the denoiser against the data to begin with; it is learned")


class DEGrad(SteppedReconstructor):
    """The equilibrium of `GradientMap`, reached by `PreconditionedMap`; the regulariser's weight is
    learned too, through its logarithm. Its arguments are `DEGradOptions`.

    Both maps have the same fixed points, but in the null space of A plain gradient descent is
    slower by the weight.
    """

    Options = DEGradOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.log_weight = log_parameter("weight", self.options.weight)

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> GradientMap:
        """f(x) = x - eta (A^H (A x - y) + weight (x - R(x)))."""
        A = self.seen(kspace, A)
        return GradientMap(A.H(kspace), A, self.denoiser, self.step, self.log_weight.exp())

    def iterated_map(self, kspace: Tensor, A: LinearOperator) -> PreconditionedMap:
        """f(x) = x - eta P (A^H (A x - y) + weight (x - R(x))), P near (A^H A + weight)^-1."""
        A = self.seen(kspace, A)
        projection = A.H(kspace)
        weight, largest = self.log_weight.exp(), A.squared_norm(projection)
        return PreconditionedMap(projection, A, self.denoiser, self.step, weight, largest=largest)
