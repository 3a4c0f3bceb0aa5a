"""(I - J^T)^-1 g by a few terms of its series: a gradient of fixed cost, exact in the limit for a
contraction.

The plain series is Picard iteration on u = J^T u + g, stopped after k products; the damped one is
the phantom gradient.
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.equilibrium.graph import Transpose, attach
from deqlab.solvers import Solution
from deqlab.solvers.flat import StateT
from deqlab.solvers.protocol import StateMap


def neumann_series(transpose: Transpose, cotangent: Tensor, k: int) -> Tensor:
    """u = sum over i = 0 ... k of (J^T)^i g, by k products with J^T.

    transpose: u -> J^T u. cotangent: g = dL/dx, (batch, ...). What is left out is (J^T)^(k+1) (I -
    J^T)^-1 g, so with ||J|| <= L < 1 the error is at most L^(k+1) ||u*|| in the exact u*. Diverges
    where the spectral radius of J is above 1.
    """
    u = cotangent
    for _ in range(k):
        u = transpose(u) + cotangent
    return u


def phantom_series(transpose: Transpose, cotangent: Tensor, k: int, damping: float) -> Tensor:
    """u = damping * sum over i = 0 ... k-1 of (B^T)^i g with B = damping J + (1 - damping) I, by k
    - 1 products with J^T.

    The limit is (I - J^T)^-1 g for every damping, as I - B = damping (I - J); smaller damping
    converges for J with eigenvalues far below -1, and cuts the series to a shorter, better
    conditioned direction where k is small. damping = 1 is `neumann_series` with k - 1 products.
    Source: Z. Geng et al., On training implicit models, NeurIPS 2021, section 3 (the form by a
    Neumann series; theirs by unrolling agrees at a fixed point).
    """
    u = damping * cotangent
    for _ in range(k - 1):
        u = damping * (transpose(u) + cotangent) + (1 - damping) * u
    return u


@dataclass(frozen=True)
class NeumannSeries:
    """dL/dw ~ (df/dw)^T sum over i <= k of (J^T)^i g: k vector-Jacobian products; k = 0 is
    JacobianFree.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 0:
            raise InputError(f"k: {self.k} given, at least 0 needed")

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f(x*), whose backward sums k + 1 terms of the series."""
        return attach(f, solution.value, lambda transpose, g: neumann_series(transpose, g, self.k))


@dataclass(frozen=True)
class Phantom:
    """The damped phantom gradient, that of k steps x <- damping f(x) + (1 - damping) x from x*, by
    k - 1 products.

    See `phantom_series`; Phantom(1, 1.0) is JacobianFree. Exact only as k grows.
    """

    k: int = 5
    damping: float = 0.5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k: {self.k} given, at least 1 needed")
        if not 0 < self.damping <= 1:
            raise InputError(f"damping: {self.damping} given, a number in (0, 1] needed")

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f(x*), whose backward sums the damped series."""
        return attach(
            f,
            solution.value,
            lambda transpose, g: phantom_series(transpose, g, self.k, self.damping),
        )
