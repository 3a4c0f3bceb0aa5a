"""How strongly a map contracts at a point: Lipschitz constants and spectral radii measured, not assumed.

Every function takes a map f on real or complex tensors (batch, ...) and works per sample. Complex tensors count as real ones of twice the
size, because a network is not complex-linear.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)


def _unit(x: Tensor) -> Tensor:
    length = _length(x)
    return x / length.clamp_min(torch.finfo(length.dtype).tiny)


def _random_like(x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def jacobian_products(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Two functions v -> J v and u -> J^T u for the Jacobian J of f at x, from one graph of f."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        output = f(point)
        probe = torch.zeros_like(output, requires_grad=True)
        # J^T u is linear in u, so its derivative along v is J v: forward products by differentiating twice.
        pulled = torch.autograd.grad(output, point, probe, create_graph=True)[0]

    def forward(v: Tensor) -> Tensor:
        return torch.autograd.grad(pulled, probe, v, retain_graph=True)[0]

    def transpose(u: Tensor) -> Tensor:
        return torch.autograd.grad(output, point, u, retain_graph=True)[0]

    return forward, transpose


def spectral_norm(f: Callable[[Tensor], Tensor], x: Tensor, iterations: int = 50, seed: int = 0) -> Tensor:
    """||J||_2 per sample, real (batch,): the local Lipschitz constant of f at x, by power iteration on J^T J (from below)."""
    forward, transpose = jacobian_products(f, x)
    v = _unit(_random_like(x, seed))
    for _ in range(iterations):
        v = _unit(transpose(forward(v)))
    return _length(forward(v)).flatten()


def spectral_radius(f: Callable[[Tensor], Tensor], x: Tensor, iterations: int = 100, seed: int = 0) -> Tensor:
    """The asymptotic growth rate of J^k at x per sample, real (batch,): below 1, Picard iteration converges near x.

    The geometric mean of the growth over the second half of the iterations, which a rotating pair of eigenvalues does not disturb. From a random
    start a growing direction is found soon, one that shrinks by 1 % an iteration late: close below 1 the estimate reads low.
    """
    forward, _ = jacobian_products(f, x)
    v = _unit(_random_like(x, seed))
    logarithms = []
    for _ in range(iterations):
        v = forward(v)
        length = _length(v)
        logarithms.append(length.clamp_min(torch.finfo(length.dtype).tiny).log().flatten())
        v = _unit(v)
    return torch.stack(logarithms[iterations // 2 :]).mean(0).exp()


@torch.no_grad()
def worst_direction(f: Callable[[Tensor], Tensor], x: Tensor, fx: Tensor, radius: Tensor, iterations: int, start: Tensor) -> Tensor:
    """A perturbation of length `radius` that successive applications of f - f(x) stretch most, (batch, ...): one evaluation of f each.

    x: point; fx: f(x); radius: real (batch, 1, ..., 1). A power iteration with finite steps, so it sees a neighbourhood, not only a point.
    start: direction to begin with. The residual f(x) - x that a solver leaves is a good one: the modes that contract fast are gone from it.
    """
    direction = _unit(start) * radius
    for _ in range(iterations):
        direction = _unit(f(x + direction) - fx) * radius
    return direction


def expansion(f: Callable[[Tensor], Tensor], x: Tensor, fx: Tensor, direction: Tensor) -> Tensor:
    """||f(x + d) - f(x)|| / ||d|| per sample, real (batch,), differentiable in the parameters of f: what the training hinge bounds."""
    return (_length(f(x + direction) - fx) / _length(direction)).flatten()
