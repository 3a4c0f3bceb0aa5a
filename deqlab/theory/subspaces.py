"""The range of A^H and the null space of A, by the projection between them, and the eigenvalues of
A^H A.

Where whole phase-encode lines are sampled, A^H A couples no two rows of an image. It is one small
matrix per row, and both are exact.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.equilibrium.measure import spectral_norm
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.solvers import conjugate_gradient
from deqlab.theory.contraction import Spectrum


def range_projection(
    A: LinearOperator, like: Tensor, threshold: float = 1e-6
) -> Callable[[Tensor], Tensor]:
    """The orthogonal projection A^+ A onto the range of A^H, a function of images like `like`,
    (batch, y, x).

    threshold: an eigenvalue of A^H A at most `threshold` times the largest counts as zero: many
    coils leave small ones rather than a null space, and what is amplified beyond all noise is not
    measured. One Cartesian coil: A^H A itself. Whole lines: from the eigenvectors. Else conjugate
    gradients on A^H A t = A^H A x from zero, whose iterates stay in the range, to the relative
    residual `threshold`; eigenvalues of about that size are projected in part.
    """
    if A.is_projection:
        return A.normal
    if _rows_are_separate(A):
        eigenvalues, vectors = torch.linalg.eigh(_row_matrices(A, like))
        kept = eigenvalues > threshold * eigenvalues.amax((-2, -1), keepdim=True)
        projection = (vectors * kept.unsqueeze(-2)) @ vectors.mH
        return lambda image: (projection @ image.unsqueeze(-1)).squeeze(-1)
    return lambda image: (
        conjugate_gradient(A.normal, A.normal(image), tolerance=threshold, max_iterations=500).value
    )


def spectrum(A: LinearOperator, like: Tensor, iterations: int = 200) -> list[Spectrum]:
    """Smallest and largest eigenvalue of A^H A for every sample of a batch of images like `like`,
    (batch, y, x).

    Exact, to rounding, for whole lines. Else by power iteration on A^H A and on c I - A^H A, which
    comes from inside: a bound computed from it is an estimate.
    """
    if _rows_are_separate(A):
        eigenvalues = torch.linalg.eigvalsh(_row_matrices(A, like)).flatten(1).clamp_min(0)
        return [
            Spectrum(low, high)
            for low, high in zip(eigenvalues.amin(1).tolist(), eigenvalues.amax(1).tolist())
        ]
    highest = spectral_norm(A.normal, like, iterations)
    shift = 1.01 * highest.max()
    lowest = (shift - spectral_norm(lambda x: shift * x - A.normal(x), like, iterations)).clamp_min(
        0
    )
    return [Spectrum(min(low, high), high) for low, high in zip(lowest.tolist(), highest.tolist())]


def _rows_are_separate(A: LinearOperator) -> bool:
    """Whether the readout axis y is fully sampled, so that its transform meets its inverse in A^H
    A.
    """
    return isinstance(A, CartesianOperator) and A.mask.shape[-2] == 1


@torch.no_grad()
def _row_matrices(A: LinearOperator, like: Tensor) -> Tensor:
    """A^H A as (batch, y, x, x): column j is what it makes of images that are 1 in column j of
    every row and 0 elsewhere.
    """
    columns = []
    for index in range(like.shape[-1]):
        image = torch.zeros_like(like)
        image[..., index] = 1
        columns.append(A.normal(image))
    return torch.stack(columns, dim=-1)
