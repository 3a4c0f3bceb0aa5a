"""Conjugate gradients for Hermitian positive semi-definite systems, per sample and conjugate-correct.

M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. NBS 49 (1952).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.solvers.solution import Solution


@torch.no_grad()
def conjugate_gradient(
    normal: Callable[[Tensor], Tensor], right: Tensor, x0: Tensor | None = None, tolerance: float = 1e-5, max_iterations: int = 50
) -> Solution:
    """x with normal(x) = right, to the relative residual ||right - normal(x)|| <= tolerance ||right|| for every sample.

    normal: a Hermitian positive semi-definite map of (batch, ...). right, x0: real or complex (batch, ...); x0 = 0 where None.
    A sample that is done rests while the others go on. `evaluations` counts the products with `normal`.
    """
    axes = tuple(range(1, right.ndim))

    def square(a: Tensor) -> Tensor:
        return torch.linalg.vector_norm(a, dim=axes, keepdim=True).square()

    x = torch.zeros_like(right) if x0 is None else x0
    r = right.clone() if x0 is None else right - normal(x0)
    p, rho, target = r, square(r), tolerance**2 * square(right)
    length = square(right).flatten().sqrt().clamp_min(torch.finfo(rho.dtype).tiny)
    trace: list[list[float]] = [[] for _ in range(right.shape[0])]
    evaluations = torch.zeros(right.shape[0], dtype=torch.long) + (x0 is not None)
    for _ in range(max_iterations):
        running = rho > target
        if not bool(running.any()):
            break
        q = normal(p)
        curvature = (p.conj() * q).sum(dim=axes, keepdim=True).real
        # A zero direction (a sample that is done) divides by nothing.
        alpha = torch.where(running & (curvature > 0), rho / curvature.clamp_min(torch.finfo(rho.dtype).tiny), torch.zeros_like(rho))
        x, r = x + alpha * p, r - alpha * q
        fresh = square(r)
        p = torch.where(running, r + (fresh / rho.clamp_min(torch.finfo(rho.dtype).tiny)) * p, p)
        rho = torch.where(running, fresh, rho)
        residuals = (rho.flatten().sqrt() / length).tolist()
        for member, active in enumerate(running.flatten().tolist()):
            if active:
                trace[member].append(residuals[member])
        evaluations += running.flatten().cpu()
    converged = (rho <= target).flatten().cpu()
    reason = ["converged" if done else "budget" for done in converged.tolist()]
    return Solution(x, rho.flatten().sqrt() / length, trace, evaluations, converged, reason)
