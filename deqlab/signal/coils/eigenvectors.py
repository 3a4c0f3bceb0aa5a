"""The dominant eigenvector at every pixel of a field of small Hermitian matrices, which is what
most coil maps are.
"""

import torch
from torch import Tensor

# Convergence is looked at after so many products, as looking costs about as much as one.
STRIDE = 4


def dominant_eigenvector(
    matrices: Tensor,
    start: Tensor,
    tolerance: float = 1e-3,
    max_products: int = 100,
    above: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """(vectors, values): of unit length with the largest eigenvalue, at every pixel, by power
    iteration from `start`.

    matrices: Hermitian and positive semi-definite, complex (batch, coil, coil, pixel). start: a
    guess, complex (batch, coil, pixel), of any length; where it is zero, all coils alike are taken.
    Result: complex (batch, coil, pixel) and real (batch, pixel). It stops when a product moves no
    vector by more than `tolerance`, pixels aside whose eigenvalue is at most `above`: there two
    eigenvalues may be nearly the same, and nobody asks which of them wins.
    """
    vectors = _unit(start, torch.full_like(start, start.shape[-2] ** -0.5))
    products = torch.empty_like(matrices)
    for count in range(1, max_products + 1):
        # The product in one buffer and its sum over coils: several times faster than a batch of
        # tiny matrix products.
        image = torch.mul(matrices, vectors.unsqueeze(-3), out=products).sum(-2)
        values = length(image)
        # A vector in the null space stays what it is.
        previous, vectors = vectors, _unit(image, vectors)
        if count % STRIDE == 0 and not bool(
            ((length(vectors - previous) > tolerance) & (values > above)).any()
        ):
            break
    return vectors, values


def aligned(vectors: Tensor, reference: Tensor) -> Tensor:
    """`vectors` times the phases that make their inner products with `reference` over the coils
    real and not negative.

    vectors, reference: complex (batch, coil, pixel), or with any axes after the coils'. Where the
        inner product is zero nothing changes.
    """
    phase = torch.sgn((vectors.conj() * reference).sum(1, keepdim=True))
    return vectors * torch.where(phase == 0, 1, phase)


def length(vectors: Tensor) -> Tensor:
    """Euclidean length over the coils of complex (batch, coil, pixel): real (batch, pixel)."""
    return (vectors.real.square() + vectors.imag.square()).sum(-2).sqrt()


def _unit(vectors: Tensor, otherwise: Tensor) -> Tensor:
    """`vectors` over their lengths, and `otherwise` where they are zero."""
    size = length(vectors).unsqueeze(-2)
    # Squares of lengths below this lose their digits.
    usable = size > torch.finfo(size.dtype).tiny ** 0.5
    return torch.where(usable, vectors / torch.where(usable, size, 1), otherwise)
