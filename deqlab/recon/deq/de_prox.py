"""DE-Prox: proximal gradient descent with a denoiser in place of the proximal operator.

D. Gilton, G. Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging,
IEEE TCI 7 (2021), eq. (11).
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.options import options
from deqlab.operators import LinearOperator
from deqlab.recon.deq.fixed_point_map import OneImageMap
from deqlab.recon.deq.told import ToldOptions, ToldReconstructor


@dataclass
class ProximalMap(OneImageMap):
    """DE-Prox: f(x) = R(x - eta A^H (A x - y)), proximal gradient descent with the denoiser in
    place of the proximal operator.
    """

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.denoised(x - self.step * self.data_gradient(x))


@options
class DEProxOptions(ToldOptions):
    """The architecture of `DEProx`."""


class DEProx(ToldReconstructor):
    """The equilibrium of `ProximalMap`. Its arguments are `DEProxOptions`."""

    Options = DEProxOptions

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> ProximalMap:
        """f(x) = R(x - eta A^H (A x - y))."""
        A = self.seen(kspace, A)
        projection = A.H(kspace)
        return ProximalMap(projection, A, self.told(kspace, A, projection), self.step)
