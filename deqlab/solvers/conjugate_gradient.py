"""Conjugate gradients for Hermitian positive semi-definite systems, per sample and
conjugate-correct.

M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res.
NBS 49 (1952).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.solvers.solution import Solution


@torch.no_grad()
def conjugate_gradient(
    normal: Callable[[Tensor], Tensor],
    right: Tensor,
    x0: Tensor | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 50,
) -> Solution:
    """x with normal(x) = right, to the relative residual ||right - normal(x)|| <= tolerance
    ||right|| for every sample.

    normal: a Hermitian positive semi-definite map of (batch, ...). right, x0: real or complex
    (batch, ...); x0 = 0 where None. A sample that is done rests while the others go on.
    `evaluations` counts the products with `normal`; `reason` is "converged", "budget", "not finite"
    (NaN or Inf in the system) or "not positive" (a direction p with <p, normal(p)> <= 0: the map is
    not what was promised).
    """
    axes = tuple(range(1, right.ndim))

    def square(a: Tensor) -> Tensor:
        if not a.is_complex():
            return torch.linalg.vector_norm(a, dim=axes, keepdim=True).square()
        # As pairs of reals, as the norm of complex tensors takes 70 times as long.
        parts = torch.view_as_real(a.resolve_conj())
        return (
            torch.linalg.vector_norm(parts, dim=(*axes, parts.ndim - 1), keepdim=True)
            .square()
            .squeeze(-1)
        )

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return torch.linalg.vecdot(a.flatten(1), b.flatten(1)).real.reshape(-1, *(1,) * len(axes))

    x = torch.zeros_like(right) if x0 is None else x0
    r = right.clone() if x0 is None else right - normal(x0)
    p, rho, target = r, square(r), tolerance**2 * square(right)
    length = square(right).flatten().sqrt().clamp_min(torch.finfo(rho.dtype).tiny)
    trace: list[list[float]] = [[] for _ in range(right.shape[0])]
    evaluations = torch.zeros(right.shape[0], dtype=torch.long) + (x0 is not None)
    broken = ["budget"] * right.shape[0]
    alive = torch.isfinite(rho)
    # The recursive residual drifts from the true one in finite precision. So a sample that passes
    # spends one product on its true residual, and where that is still too large CG starts over from
    # there.
    checked = torch.zeros_like(alive)
    for _ in range(max_iterations):
        running = alive & (rho > target)
        pending = alive & ~running & ~checked
        busy = running | pending
        if not bool(busy.any()):
            break
        checking = bool(pending.any())
        q = normal(torch.where(pending, x, p) if checking else p)
        curvature = inner(p, q)
        alive = alive & (~running | (curvature > 0))
        for member in torch.nonzero((running & ~alive).flatten()).flatten().tolist():
            broken[member] = (
                "not positive"
                if bool(torch.isfinite(curvature.flatten()[member]))
                else "not finite"
            )
        advance = running & alive
        # A sample that is done, broken or being checked takes steps of length zero.
        alpha = torch.where(advance, rho / curvature, torch.zeros_like(rho))
        if not checking and bool(advance.all()):
            # The usual case, without the copies that a choice between samples takes.
            x, r = torch.addcmul(x, alpha.to(x.dtype), p), torch.addcmul(r, -alpha.to(r.dtype), q)
            fresh = square(r)
            p, rho = torch.addcmul(r, (fresh / rho).to(r.dtype), p), fresh
        else:
            x, r = (
                torch.where(advance, x + alpha * p, x),
                torch.where(advance, r - alpha * q, torch.where(pending, right - q, r)),
            )
            fresh = square(r)
            p = torch.where(advance, r + (fresh / rho) * p, torch.where(pending, r, p))
            rho = torch.where(advance | pending, fresh, rho)
        checked = checked | (pending & (rho <= target))
        residuals = (rho.flatten().sqrt() / length).tolist()
        for member, active in enumerate(busy.flatten().tolist()):
            if active:
                trace[member].append(residuals[member])
        evaluations += busy.flatten().cpu()
    converged = checked.flatten().cpu()
    finite = torch.isfinite(rho).flatten().tolist()
    reason = [
        "converged" if done else why if fine else "not finite"
        for done, why, fine in zip(converged.tolist(), broken, finite)
    ]
    return Solution(x, rho.flatten().sqrt() / length, trace, evaluations, converged, reason)
