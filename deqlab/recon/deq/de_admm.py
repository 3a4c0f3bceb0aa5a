"""DE-ADMM: data and prior agree through a dual variable, and the state is a pair (z, u).

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging,
IEEE TCI 7 (2021), with the penalty rho as the step s = 1 / rho. At a fixed point x = z and u = s
A^H (y - A z), hence z = R(z + s A^H (y - A z)): the equilibria are exactly those of DE-Prox with
the same denoiser and step, and trained weights may be exchanged. What differs is which of them
attract, and how fast.
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.options import options
from deqlab.operators import LinearOperator
from deqlab.recon.deq.fixed_point_map import FixedPointMap, OneImageMap
from deqlab.recon.deq.told import ToldOptions, ToldReconstructor
from deqlab.recon.steps.resolvent import resolvent

Pair = tuple[Tensor, Tensor]


@dataclass
class ADMMMap(FixedPointMap[Pair]):
    """DE-ADMM: f(z, u) = (R(x + u), x + u - R(x + u)) with x = argmin 1/2 ||A x - y||^2 + 1/(2 s)
    ||x - z + u||^2.

    z: image; u: scaled dual variable; both complex (batch, y, x). step: s = 1 / rho.
    """

    def __call__(self, state: Pair, /) -> Pair:
        z, u = state
        x = resolvent(self.A, z - u + self.step * self.projection, self.step)
        z = self.denoised(x + u)
        return z, u + x - z

    def as_one_image(self) -> "DouglasRachfordMap":
        """The same iteration in w = x + u = z + u, with half the state and the same eigenvalues of
        the Jacobian but for zeros.
        """
        return DouglasRachfordMap(self.projection, self.A, self.denoiser, self.step)

    def state(self, image: Tensor) -> Pair:
        """(image, u) with the one dual variable for which the data step returns the image: u = s
        A^H (y - A image).
        """
        return image, -self.step * self.data_gradient(image)

    def image(self, state: Pair) -> Tensor:
        """z: what the denoiser returned last."""
        return state[0]


@dataclass
class DouglasRachfordMap(OneImageMap):
    """Douglas-Rachford splitting: T(w) = w - R(w) + x with x = argmin 1/2 ||A x - y||^2 + 1/(2 s)
    ||x - (2 R(w) - w)||^2.

    w: complex (batch, y, x). J. Eckstein and D. P. Bertsekas, On the Douglas-Rachford splitting
    method and the proximal point algorithm for maximal monotone operators, Math. Program. 55
    (1992), section 5.
    """

    def __call__(self, w: Tensor, /) -> Tensor:
        z = self.denoised(w)
        return w - z + resolvent(self.A, 2 * z - w + self.step * self.projection, self.step)

    def state(self, image: Tensor) -> Tensor:
        """w = z + u."""
        return image - self.step * self.data_gradient(image)

    def image(self, state: Tensor) -> Tensor:
        """R(w)."""
        return self.denoised(state)


@options
class DEADMMOptions(ToldOptions):
    """The architecture of `DEADMM`."""


class DEADMM(ToldReconstructor):
    """The equilibrium of `ADMMMap`: image = z. The step s = 1 / rho is learned through its
    logarithm.

    A Solution counts evaluations and residuals of the pair (z, u). Its value is the image;
    `fixed_point_map(...).state(image)` is the pair, and a solve may begin with either.
    """

    Options = DEADMMOptions

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> ADMMMap:
        """f for these measurements, a function of the pair (z, u)."""
        A = self.seen(kspace, A)
        projection = A.H(kspace)
        return ADMMMap(projection, A, self.told(kspace, A, projection), self.step)
