"""The fixed-point maps whose equilibria are reconstructions.

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging, IEEE TCI 7 (2021), eqs. (9) and (11).
A map is bound to one batch of measurements and can be restricted to some of its members, so that finished samples leave a solve.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from deqlab.operators import LinearOperator
from deqlab.recon.chebyshev import ChebyshevInverse


@dataclass
class FixedPointMap:
    """f for given measurements: `projection` = A^H y, operator A, denoiser R, step size eta (a scalar tensor)."""

    projection: Tensor
    A: LinearOperator
    denoiser: nn.Module
    step: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    @cached_property
    def phase(self) -> Tensor:
        """The global phase of the zero-filled image, complex (batch, 1, 1) of modulus 1."""
        total = self.projection.sum((-2, -1), keepdim=True)
        return torch.where(total == 0, torch.ones_like(total), total.sgn())

    def denoised(self, x: Tensor) -> Tensor:
        """R(x), turned to the phase 0 before and back after: a global phase of k-space turns the equilibrium and changes nothing else.

        A scanner's global phase is arbitrary, and a network that takes real and imaginary parts as two channels knows only the phases
        of its training images.
        """
        return self.phase * self.denoiser(self.phase.conj() * x)

    def data_gradient(self, x: Tensor) -> Tensor:
        """A^H (A x - y), the gradient of 1/2 ||A x - y||^2."""
        return self.A.normal(x) - self.projection

    def select(self, index: Tensor) -> "FixedPointMap":
        """The map of the batch members in `index`."""
        return replace(self, projection=self.projection[index], A=self.A.select(index))

    def as_one_image(self) -> "FixedPointMap":
        """The same iteration on a state that is one image: the map of whose Lipschitz constant the bounds in `contraction` speak."""
        return self

    def state(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The state that belongs to an image (batch, y, x): a start for a solve, and a fixed point where the image is one."""
        return image

    def image(self, state: Tensor | tuple[Tensor, ...]) -> Tensor:
        """The image (batch, y, x) in a state; the inverse of `state` at fixed points."""
        return state


@dataclass
class ProximalMap(FixedPointMap):
    """DE-Prox: f(x) = R(x - eta A^H (A x - y)), proximal gradient descent with the denoiser in place of the proximal operator."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.denoised(x - self.step * self.data_gradient(x))


@dataclass
class GradientMap(FixedPointMap):
    """DE-Grad: f(x) = x - eta (A^H (A x - y) + weight (x - R(x))), gradient descent with the denoiser's residual as a regulariser's gradient.

    Where Lip(R) <= L < 1 and weight = 1, Lip(f) <= 1 - eta + eta L for eta <= 1 / (1 + ||A||^2): a contraction even in the null space of A.
    """

    weight: Tensor | float = 1.0

    def gradient(self, x: Tensor) -> Tensor:
        """A^H (A x - y) + weight (x - R(x)): what vanishes at a fixed point."""
        return self.data_gradient(x) + self.weight * (x - self.denoised(x))

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.step * self.gradient(x)


# How far the preconditioner may be from an inverse, relatively: the rate hardly feels it, and the fixed points not at all.
ACCURACY = 0.1
# A weight below this share of ||A||^2 is preconditioned as if it were this share: the degree stays below 20, and the fixed points where they are.
LEAST_WEIGHT = 0.01


@dataclass
class PreconditionedMap(GradientMap):
    """f(x) = x - eta P (A^H (A x - y) + weight (x - R(x))), P a polynomial in A^H A near (A^H A + weight)^-1.

    Its fixed points are those of `GradientMap` with the same denoiser and weight, exactly, whatever P and the step of either. In the null space of A
    the step is eta, where that of `GradientMap` is eta weight; there lie the slowest modes. With the inverse itself and eta = 1 it is
    f(x) = (A^H A + weight)^-1 (A^H y + weight R(x)), the iteration of MoDL (H. K. Aggarwal, M. P. Mani and M. Jacob, IEEE TMI 38, 2019), and
    Lip(f) <= Lip(R) whatever A is. The price is a few products with A^H A an evaluation.

    largest: a bound of ||A||^2 per sample, real (batch, 1, 1).
    """

    largest: Tensor = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.step * self.inverse.apply(self._shifted, self.gradient(x))

    def select(self, index: Tensor) -> "PreconditionedMap":
        """The map of the batch members in `index`."""
        return replace(super().select(index), largest=self.largest[index])

    @cached_property
    def inverse(self) -> ChebyshevInverse:
        """P; constant for gradients, for what it is applied to vanishes at the fixed point."""
        lowest = torch.maximum(torch.as_tensor(self.weight).detach().to(self.largest), LEAST_WEIGHT * self.largest)
        return ChebyshevInverse(lowest, lowest + self.largest, ACCURACY)

    def _shifted(self, x: Tensor) -> Tensor:
        return self.A.normal(x) + self.inverse.lowest * x

