"""The dominant eigenvector at every pixel of a field of small Hermitian matrices, which is what most coil maps are."""

import torch
from torch import Tensor

# Convergence is looked at after so many products, as looking costs about as much as one.
STRIDE = 4


def dominant_eigenvector(
    matrices: Tensor, start: Tensor, tolerance: float = 1e-3, max_products: int = 100, above: float = 0.0
) -> tuple[Tensor, Tensor]:
    """(vectors, values): of unit length with the largest eigenvalue, at every pixel, by power iteration from `start`.

    matrices: Hermitian and positive semi-definite, complex (batch, coil, coil, pixel). start: complex (batch, coil, pixel), a guess of unit
    length; where it is zero, all coils alike are taken. Result: complex (batch, coil, pixel) and real (batch, pixel).
    It stops when a product moves no vector by more than `tolerance`, pixels aside whose eigenvalue is at most `above`: there two eigenvalues
    may be nearly the same, and nobody asks which of them wins.
    """
    coils = matrices.shape[-2]
    alike = torch.full_like(start, coils**-0.5)
    vectors = torch.where(start.abs().amax(-2, keepdim=True) > 0, start, alike)
    products = torch.empty_like(matrices)
    for count in range(1, max_products + 1):
        # The product in one buffer and its sum over coils: several times faster than a batch of tiny matrix products.
        image = torch.mul(matrices, vectors.unsqueeze(-3), out=products).sum(-2)
        values = length(image)
        previous, vectors = vectors, image / values.clamp_min(torch.finfo(values.dtype).tiny).unsqueeze(-2)
        # A vector in the null space stays what it is.
        vectors = torch.where(values.unsqueeze(-2) > 0, vectors, previous)
        if count % STRIDE == 0 and not bool(((length(vectors - previous) > tolerance) & (values > above)).any()):
            break
    return vectors, values


def length(vectors: Tensor) -> Tensor:
    """Euclidean length over the coils of complex (batch, coil, pixel): real (batch, pixel)."""
    return (vectors.real.square() + vectors.imag.square()).sum(-2).sqrt()
