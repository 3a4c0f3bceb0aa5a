"""SHINE: the forward solver has already learned an inverse; the backward pass borrows it.

A quasi-Newton solver ends with B ~ (I - J)^-1. The adjoint u = (I - J)^-T g is then B^T g, at the
price of a few inner products.
Z. Ramzi et al., SHINE: SHaring the INverse Estimate from the forward pass for bi-level optimization
and implicit models, ICLR 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.equilibrium.graph import Transpose, attach
from deqlab.solvers import Solution
from deqlab.solvers.flat import StateT
from deqlab.solvers.protocol import StateMap


def shared_inverse(
    inverse: Callable[[Tensor], Tensor], cotangent: Tensor, fallback: float
) -> tuple[Tensor, Tensor]:
    """u = B^T g, and u = g (Jacobian-free) for the samples where ||B^T g|| > fallback ||g|| or
    where B^T g is not finite.

    inverse: v -> B^T v, real (batch, n). cotangent: g = dL/dx, real (batch, n). Returns u and which
    samples fell back, bool (batch,).
    A forward solve that hardly moved knows little of J, and what it knows can blow g up; the ratio
    of norms betrays that (the fallback strategy of Ramzi et al., whose ratio is 1.3). For an exact
    inverse the ratio is at most 1 / (1 - ||J||), so where J is close to an isometry a larger
    `fallback`, math.inf included, is right; so it is with OPA, which makes B^T g nearly as long as
    the exact u.
    """
    u = inverse(cotangent)
    length = torch.linalg.vector_norm(u, dim=1, dtype=torch.float64)
    fell_back = ~(
        length <= fallback * torch.linalg.vector_norm(cotangent, dim=1, dtype=torch.float64)
    )
    return torch.where(fell_back.unsqueeze(1), cotangent, u), fell_back


def refined(
    transpose: Transpose,
    inverse: Callable[[Tensor], Tensor],
    cotangent: Tensor,
    start: Tensor,
    k: int,
) -> Tensor:
    """u, with ||u - J^T u - g|| smallest in the span of `start` and of k - 1 further directions: k
    products with J^T.

    transpose: u -> J^T u. inverse: v -> P v, the preconditioner that turns a residual into the next
    direction. All real (batch, n).
    The residual never grows with k, per sample. It is the generalised conjugate residual method (S.
    C. Eisenstat, H. C. Elman and M. H. Schultz, SIAM J. Numer. Anal. 20, 1983), to which Anderson
    acceleration of u + P (J^T u + g - u) comes down on a linear system.
    """
    u, r = torch.zeros_like(cotangent), cotangent
    history: list[tuple[Tensor, Tensor]] = []
    direction = start
    for _ in range(k):
        image = direction - transpose(direction)
        # Twice, because once loses orthogonality where the directions are nearly dependent.
        for _ in range(2):
            for past, past_image in history:
                share = _dot(past_image, image)
                direction, image = direction - share * past, image - share * past_image
        length = torch.linalg.vector_norm(image, dim=1, keepdim=True)
        # A sample that is solved has no new direction; it rests.
        scale = torch.where(
            length > torch.finfo(length.dtype).eps * _size(cotangent),
            1 / length,
            torch.zeros_like(length),
        )
        direction, image = direction * scale, image * scale
        share = _dot(image, r)
        u, r = u + share * direction, r - share * image
        history.append((direction, image))
        direction = inverse(r)
    return u


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1, keepdim=True)


def _size(a: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a, dim=1, keepdim=True)


@dataclass(frozen=True)
class SHINE:
    """dL/dw ~ (df/dw)^T B^T g with the B that the forward solver built: a gradient without any
    product with J^T.

    Exact where B is (I - J)^-1. fallback: see `shared_inverse`. refine: so many products with J^T
    improve u, from B^T g on and with B^T as preconditioner (g and I for a sample that fell back).
    observe: called with bool (batch,), the samples that fell back, at every backward.
    Raises InputError where the forward solver kept no inverse.
    """

    fallback: float = 1.3
    refine: int = 0
    observe: Callable[[Tensor], None] | None = None

    def __post_init__(self) -> None:
        if not self.fallback > 0:
            raise InputError(f"fallback: {self.fallback} given, a ratio > 0 needed")
        if self.refine < 0:
            raise InputError(f"refine: {self.refine} given, at least 0 needed")

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f(x*), whose backward multiplies with the transposed inverse estimate of `solution`."""
        if solution.inverse is None:
            raise InputError(
                "solver: SHINE needs a solver that keeps an inverse: Broyden, AdjointBroyden or"
                " LBFGS"
            )
        inverse = solution.inverse.transpose
        return attach(f, solution.value, lambda transpose, g: self._adjoint(transpose, g, inverse))

    def _adjoint(
        self, transpose: Transpose, g: Tensor, inverse: Callable[[Tensor], Tensor]
    ) -> Tensor:
        u, fell_back = shared_inverse(inverse, g, self.fallback)
        if self.observe is not None:
            self.observe(fell_back)
        if not self.refine:
            return u

        def preconditioner(v: Tensor) -> Tensor:
            return torch.where(fell_back.unsqueeze(1), v, inverse(v))

        return refined(transpose, preconditioner, g, u, self.refine)
