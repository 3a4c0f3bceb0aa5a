"""The fixed-point maps whose equilibria are reconstructions.

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging, IEEE TCI 7 (2021), eqs. (9) and (11).
A map is bound to one batch of measurements and can be restricted to some of its members, so that finished samples leave a solve.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from deqlab.operators import LinearOperator
from deqlab.recon.resolvent import resolvent


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

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.step * (self.data_gradient(x) + self.weight * (x - self.denoised(x)))


@dataclass
class ForwardBackwardMap(FixedPointMap):
    """f(x) = (I + eta / w A^H A)^-1 (x - eta (x - R(x)) + eta / w A^H y): a gradient step on the prior, a resolvent step on the data.

    Its fixed points are those of `GradientMap` with the same denoiser and weight w, whatever the step of either. The resolvent expands
    nothing, whatever A is, so Lip(f) <= Lip(R) at eta = 1; and in the null space of A the step is eta, where that of `GradientMap` is
    eta w: there lie the slowest modes. The price is a small linear system an evaluation, with A^H A alone.

    A. Pramanik, M. B. Zimmerman and M. Jacob, Memory-efficient model-based deep learning with convergence and robustness guarantees,
    IEEE TCI 9 (2023); at eta = 1 the iteration of MoDL, H. K. Aggarwal, M. P. Mani and M. Jacob, IEEE TMI 38 (2019).
    """

    weight: Tensor | float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        data_step = self.step / self.weight
        forward = x - self.step * (x - self.denoised(x))
        return resolvent(self.A, forward + data_step * self.projection, data_step)
