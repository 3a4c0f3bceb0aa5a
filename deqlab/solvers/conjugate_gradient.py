"""Conjugate gradients for Hermitian positive semi-definite systems, per sample and
conjugate-correct.

M. R. Hestenes and E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res.
NBS 49 (1952).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deqlab.solvers.products import surely
from deqlab.solvers.solution import Solution


@torch.no_grad()
def conjugate_gradient(
    normal: Callable[[Tensor], Tensor],
    right: Tensor,
    x0: Tensor | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 50,
) -> Solution[Tensor]:
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
    alive, curvature = torch.isfinite(rho), torch.ones_like(rho)
    # The recursive residual drifts from the true one in finite precision. So a sample that passes
    # spends one product on its true residual, and where that is still too large CG starts over from
    # there.
    checked = torch.zeros_like(alive)
    start = torch.stack((target.flatten(), rho.flatten())).tolist()
    samples = [
        _Sample(goal, math.isfinite(first), int(x0 is not None)) for goal, first in zip(*start)
    ]
    for iteration in range(max_iterations + 1):
        # All that the host decides by, in one transfer from the device.
        seen = torch.stack((rho.flatten(), curvature.flatten(), rho.flatten().sqrt() / length))
        for sample, numbers in zip(samples, zip(*seen.tolist())):
            sample.take(*numbers)
        checking = any(sample.pending for sample in samples)
        if iteration == max_iterations or not (checking or any(s.running for s in samples)):
            break
        running = alive & (rho > target)
        pending = alive & ~running & ~checked
        q = normal(torch.where(pending, x, p) if checking else p)
        curvature = inner(p, q)
        alive = alive & (~running | (curvature > 0))
        advance = running & alive
        # A sample that is done, broken or being checked takes steps of length zero.
        alpha = torch.where(advance, rho / curvature, torch.zeros_like(rho))
        if not checking and surely(advance):
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
    return Solution(
        value=x,
        residual=rho.flatten().sqrt() / length,
        trace=[sample.trace for sample in samples],
        evaluations=torch.tensor([sample.evaluations for sample in samples]),
        converged=torch.tensor([sample.checked for sample in samples]),
        reason=[sample.reason for sample in samples],
    )


@dataclass
class _Sample:
    """The host's account of one sample, from a few numbers a product: it decides as the device
    does.
    """

    goal: float
    alive: bool
    evaluations: int
    trace: list[float] = field(default_factory=list)
    running: bool = False
    pending: bool = False
    checked: bool = False
    broken: str = "budget"
    reason: str = "budget"

    def take(self, square: float, curvature: float, residual: float) -> None:
        """After a product: the squared residual, <p, q>, and the relative residual."""
        if self.running or self.pending:
            self.trace.append(residual)
            self.evaluations += 1
        if self.running and not curvature > 0:
            self.alive = False
            self.broken = "not positive" if math.isfinite(curvature) else "not finite"
        self.checked = self.checked or (self.pending and square <= self.goal)
        self.running = self.alive and square > self.goal
        self.pending = self.alive and not self.running and not self.checked
        self.reason = self.broken if math.isfinite(square) else "not finite"
        if self.checked:
            self.reason = "converged"
