"""The fixed-point maps whose equilibria are reconstructions.

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging,
IEEE TCI 7 (2021), eqs. (9) and (11). A map is bound to one batch of measurements and can be
restricted to some of its members, so that finished samples leave a solve.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Self

import torch
from torch import Tensor

from deqlab.networks.protocol import of_members
from deqlab.operators import LinearOperator
from deqlab.solvers.flat import StateT


@dataclass
class FixedPointMap(ABC, Generic[StateT]):
    """f for given measurements, a function of a state that holds an image: `projection` = A^H y,
    operator A, denoiser R, step size eta (a scalar tensor, as a rule).
    """

    projection: Tensor
    A: LinearOperator
    denoiser: Callable[[Tensor], Tensor]
    step: Tensor | float

    @abstractmethod
    def __call__(self, state: StateT, /) -> StateT:
        """f(state)."""

    @abstractmethod
    def state(self, image: Tensor) -> StateT:
        """The state that belongs to an image (batch, y, x): a start for a solve, and a fixed point
        where the image is one.
        """

    @abstractmethod
    def image(self, state: StateT) -> Tensor:
        """The image (batch, y, x) in a state; the inverse of `state` at fixed points."""

    @abstractmethod
    def as_one_image(self) -> "FixedPointMap[Tensor]":
        """The same iteration on a state that is one image: the map of whose Lipschitz constant the
        bounds in `contraction` speak.
        """

    @cached_property
    def phase(self) -> Tensor:
        """The global phase of the zero-filled image, complex (batch, 1, 1) of modulus 1."""
        return global_phase(self.projection)

    def denoised(self, x: Tensor) -> Tensor:
        """R(x), turned to the phase 0 before and back after: a global phase of k-space turns the
        equilibrium and changes nothing else.

        A scanner's global phase is arbitrary, and a network that takes real and imaginary parts as
        two channels knows only the phases of its training images.
        """
        return self.phase * self.denoiser(self.phase.conj() * x)

    def data_gradient(self, x: Tensor) -> Tensor:
        """A^H (A x - y), the gradient of 1/2 ||A x - y||^2."""
        return self.A.normal(x) - self.projection

    def select(self, index: Tensor) -> Self:
        """The map of the batch members in `index`."""
        denoiser = of_members(self.denoiser, index)
        projection, A = self.projection[index], self.A.select(index)
        return replace(self, projection=projection, A=A, denoiser=denoiser)


class OneImageMap(FixedPointMap[Tensor]):
    """A map whose state is one image, complex (batch, y, x): the image itself, unless it says
    otherwise.
    """

    def state(self, image: Tensor) -> Tensor:
        """The image itself."""
        return image

    def image(self, state: Tensor) -> Tensor:
        """The state itself."""
        return state

    def as_one_image(self) -> Self:
        """Itself."""
        return self


def global_phase(projection: Tensor) -> Tensor:
    """That of an image (batch, y, x), complex (batch, 1, 1) of modulus 1: of the sum of all
    pixels.
    """
    total = projection.sum((-2, -1), keepdim=True)
    return torch.where(total == 0, torch.ones_like(total), total.sgn())
