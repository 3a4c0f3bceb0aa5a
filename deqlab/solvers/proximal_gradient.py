"""Proximal gradients: min g(x) + h(x) as the fixed point of x = prox(x - step grad g(x)), plain
(ISTA) or accelerated (FISTA).

A. Beck and M. Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse
problems, SIAM J. Imaging Sci. 2 (2009);
restart: B. O'Donoghue and E. Candes, Adaptive restart for accelerated gradient schemes, Found.
    Comput. Math. 15 (2015).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.loop import solve
from deqlab.solvers.products import dot
from deqlab.solvers.protocol import AnySolver
from deqlab.solvers.solution import Solution


class Momentum(NamedTuple):
    """f at the iterate before, real (batch, n), and the weight t of Nesterov's sequence, (batch,
    1).
    """

    previous: Tensor
    t: Tensor


@dataclass(frozen=True)
class FISTA:
    """x_{k+1} = f(z_k), z_{k+1} = x_{k+1} + (t_k - 1) / t_{k+1} (x_{k+1} - x_k): the objective
    falls as 1 / k^2, Picard's as 1 / k.

    For f a proximal-gradient map of a convex problem; Picard() on the same f is ISTA. What `solve`
    reports is z_k with the residual ||f(z_k) - z_k|| / ||f(z_k)||.
    restart: t starts over, for the one sample, whenever a step goes against the one before (<z_k -
    x_{k+1}, x_{k+1} - x_k> > 0). Then the objective no longer swings about its end, and the rate is
    linear near the solution, without its curvature being known.
    """

    restart: bool = True
    needs_products: ClassVar[bool] = False
    keeps_inverse: ClassVar[bool] = False

    def init(self, x: Tensor) -> Momentum:
        """No momentum yet."""
        return Momentum(x, x.new_ones(len(x), 1))

    def step(self, state: Momentum, at: Evaluation) -> tuple[Tensor, Momentum]:
        """The next point to evaluate f at, real (batch, n)."""
        moved, t = at.f - state.previous, state.t
        if self.restart:
            t = torch.where(dot(at.g, moved) < 0, torch.ones_like(t), t)
        following = (1 + (1 + 4 * t.square()).sqrt()) / 2
        return torch.addcmul(at.f, (t - 1) / following, moved), Momentum(at.f, following)

    def select(self, state: Momentum, index: Tensor) -> Momentum:
        """The momentum of the batch members in `index`."""
        return Momentum(state.previous[index], state.t[index])

    def inverse(self, state: Momentum, at: Evaluation) -> None:
        """FISTA learns nothing of (I - J)^-1."""
        return None


@torch.no_grad()
def proximal_gradient(
    gradient: Callable[[Tensor], Tensor],
    proximal: Callable[[Tensor, Tensor], Tensor],
    x0: Tensor,
    lipschitz: float | Tensor | None = None,
    solver: AnySolver = FISTA(),
    tolerance: float | Tensor = 1e-4,
    max_evaluations: int | Tensor = 200,
) -> Solution:
    """argmin g(x) + h(x) per sample, to ||T(x) - x|| <= tolerance ||T(x)|| with T(x) = proximal(x -
    step gradient(x), step).

    step: 1 / lipschitz. gradient: of g, (batch, ...) to the same. proximal: (v, step) -> argmin_x
        h(x) + ||x - v||^2 / (2 step), with step (batch, 1, ...).
    x0: start, real or complex. lipschitz: a bound of the gradient's Lipschitz constant, a number or
    (batch,); `lipschitz_estimate` where None.
    solver: FISTA(), FISTA(restart=False), Picard() for ISTA, or any other of `solve`, whose reasons
        and errors hold here too.
    """
    bound = (
        lipschitz_estimate(gradient, x0)
        if lipschitz is None
        else torch.as_tensor(lipschitz).to(x0.device, x0.real.dtype)
    )
    if not bool((bound > 0).all()) or not bool(torch.isfinite(bound).all()):
        raise InputError(f"lipschitz: {bound.tolist()} given, finite numbers > 0 needed")
    step = (1 / bound).expand(len(x0)).reshape(-1, *(1,) * (x0.ndim - 1))
    return solve(
        lambda x: proximal(x - step * gradient(x), step), x0, solver, tolerance, max_evaluations
    )


@torch.no_grad()
def lipschitz_estimate(
    gradient: Callable[[Tensor], Tensor], x0: Tensor, iterations: int = 20, margin: float = 1.05
) -> Tensor:
    """The largest curvature of g about x0, per sample, times `margin`: power iteration on
    differences of the gradient, real (batch,).

    Of an affine gradient A^H (A x - y) it is ||A||^2, from below but for the margin. FISTA bears
    steps up to 4 / (3 ||A||^2), so an estimate that is a quarter too small still converges. 1 where
    the gradient is constant.
    """
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(*x0.shape, 2, generator=generator, dtype=torch.float64)
    direction = (torch.view_as_complex(start) if x0.is_complex() else start[..., 0]).to(x0)
    axes = tuple(range(1, x0.ndim))
    at, length = gradient(x0), None
    # Steps as long as x0 itself: differences of much smaller ones would drown in rounding.
    scale = torch.linalg.vector_norm(x0, dim=axes, keepdim=True)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    for _ in range(iterations):
        length = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
        direction = (
            gradient(x0 + direction * (scale / length.clamp_min(torch.finfo(length.dtype).tiny)))
            - at
        )
    curvature = (torch.linalg.vector_norm(direction, dim=axes, keepdim=True) / scale).flatten()
    return torch.where(curvature > 0, margin * curvature, torch.ones_like(curvature))
