"""The covariance of coils' noise from samples of which a few may be no noise, and few they may be.

Tyler's estimator weighs each sample by its own size, so that a sample full of signal counts no more
than any other; shrinking towards equal and independent coils keeps it well conditioned where
samples are few, and gives exactly that where the samples say nothing else.

D. E. Tyler, A distribution-free M-estimator of multivariate scatter, Ann Stat 15:234 (1987);
Y. Chen, A. Wiesel and A. O. Hero, Robust shrinkage estimation of high-dimensional covariance
matrices, IEEE Trans Signal Process 59:4097 (2011), whose oracle weight for complex samples this is.
"""

import torch
from torch import Tensor

MOST, TOLERANCE = 60, 1e-4


def robust_scatter(samples: Tensor) -> Tensor:
    """The shape of the covariance of `samples`, complex128 (coil, coil), Hermitian and positive
    definite, with trace = number of coils: the identity for white noise.

    samples: complex (coil, n), n >= 1, of any scale; those that are zero in every coil tell
    nothing and are passed over.
    """
    directions = samples.to(torch.complex128)
    size = torch.linalg.vector_norm(directions, dim=0)
    directions = directions[:, size > 0] / size[size > 0]
    coils, count = directions.shape
    identity = torch.eye(coils, dtype=directions.dtype, device=directions.device)
    if coils == 1 or count == 0:
        return identity
    scatter = directions @ directions.mH * (coils / count)
    share = _shrinkage(scatter, count)
    scatter = (1 - share) * scatter + share * identity
    for _ in range(MOST):
        energies = mahalanobis(directions, scatter)
        step = (directions / energies) @ directions.mH
        step = (1 - share) * step * (coils / _trace(step)) + share * identity
        change = float((step - scatter).abs().max())
        scatter = step
        if change < TOLERANCE:
            break
    return scatter


def mahalanobis(samples: Tensor, scatter: Tensor) -> Tensor:
    """s^H scatter^-1 s of each of the `samples`, complex (coil, n): real (n,)."""
    samples = samples.to(scatter.dtype)
    return (samples.conj() * torch.linalg.solve(scatter, samples)).sum(0).real


def _shrinkage(scatter: Tensor, count: int) -> float:
    """The share of the identity that brings `scatter`, of `count` directions and trace = coils,
    nearest to the truth, 0 to 1.
    """
    coils = len(scatter)
    # What so few samples add to the trace of the square is taken off again; the identity has the
    # least.
    square = float(scatter.abs().square().sum()) - coils**2 / count
    square = max(square, float(coils))
    above = coils**2 - square / coils
    below = coils**2 - count * coils - count + (count + (count - 1) / coils) * square
    return min(1.0, max(0.0, above / below))


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal().real.sum()
