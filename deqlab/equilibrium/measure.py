"""How strongly a map contracts at a point: Lipschitz constants and spectral radii measured, not
assumed.

Every function takes a map f on real or complex tensors (batch, ...) and works per sample. Complex
tensors count as real ones of twice the size, because a network is not complex-linear.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Projection = Callable[[Tensor], Tensor]


def _whole(x: Tensor) -> Tensor:
    return x


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)


def _unit(x: Tensor) -> Tensor:
    length = _length(x)
    return x / length.clamp_min(torch.finfo(length.dtype).tiny)


def _random_like(x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def jacobian_products(
    f: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Two functions v -> J v and u -> J^T u for the Jacobian J of f at x, from one graph of f."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        output = f(point)
        probe = torch.zeros_like(output, requires_grad=True)
        # J^T u is linear in u, so its derivative along v is J v: forward products by
        # differentiating twice.
        pulled = torch.autograd.grad(output, point, probe, create_graph=True)[0]

    def forward(v: Tensor) -> Tensor:
        return torch.autograd.grad(pulled, probe, v, retain_graph=True)[0]

    def transpose(u: Tensor) -> Tensor:
        return torch.autograd.grad(output, point, u, retain_graph=True)[0]

    return forward, transpose


def dense_jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """J at x per sample, real (batch, m, n), with the real and imaginary parts of complex numbers
    interleaved.

    For small problems: n products with J, one after the other.
    """
    forward, _ = jacobian_products(f, x)
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    columns = []
    for index in range(real[0].numel()):
        unit = torch.zeros_like(real, memory_format=torch.contiguous_format)
        unit.view(len(x), -1)[:, index] = 1
        column = forward(torch.view_as_complex(unit) if x.is_complex() else unit)
        columns.append(
            (torch.view_as_real(column.resolve_conj()) if column.is_complex() else column).reshape(
                len(x), -1
            )
        )
    return torch.stack(columns, dim=-1)


def spectral_norm(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    iterations: int = 50,
    seed: int = 0,
    domain: Projection = _whole,
    target: Projection = _whole,
    start: Tensor | None = None,
) -> Tensor:
    """||Q J P||_2 per sample, real (batch,), by power iteration (from below): for P = Q = I the
    local Lipschitz constant of f at x.

    domain, target: the orthogonal projections P and Q, functions of a tensor: how strongly f
    carries one subspace into another. A subspace that is {0} in a sample gives 0. start: a
    direction to begin with besides noise.
    """
    forward, transpose = jacobian_products(f, x)
    noise = _random_like(x, seed)
    v = _unit(domain(noise if start is None else _unit(noise) + _unit(start)))
    for _ in range(iterations):
        v = _unit(domain(transpose(target(forward(v)))))
    # Projected once more: where P = 0, v is made of rounding errors.
    return _length(target(forward(domain(v)))).flatten()


def spectral_radius(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    iterations: int = 100,
    seed: int = 0,
    within: Projection = _whole,
) -> Tensor:
    """The asymptotic growth rate of (P J P)^k at x per sample, real (batch,).

    Below 1 for P = I, Picard iteration converges near x. within: the orthogonal projection P, a
    function of a tensor. The geometric mean of the growth over the second half of the iterations,
    which a rotating pair of eigenvalues does not disturb. From noise alone a growing direction is
    found soon, one that shrinks by 1 % an iteration late. So it begins with the residual f(x) - x
    as well: where a solver left it, the modes that contract fast are gone from it. Close below 1
    the estimate still reads a little low.
    """
    forward, _ = jacobian_products(f, x)
    with torch.no_grad():
        left = f(x) - x
    v = _unit(within(_unit(_random_like(x, seed)) + _unit(left)))
    logarithms = []
    for _ in range(iterations):
        v = within(forward(v))
        length = _length(v)
        logarithms.append(length.clamp_min(torch.finfo(length.dtype).tiny).log().flatten())
        v = _unit(v)
    return torch.stack(logarithms[iterations // 2 :]).mean(0).exp()


@torch.no_grad()
def worst_direction(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    fx: Tensor,
    radius: Tensor,
    iterations: int,
    start: Tensor,
) -> Tensor:
    """A perturbation of length `radius` that successive applications of f - f(x) stretch most,
    (batch, ...): one evaluation of f each.

    x: point; fx: f(x); radius: real (batch, 1, ..., 1). A power iteration with finite steps, so it
        sees a neighbourhood, not only a point.
    start: direction to begin with. The residual f(x) - x that a solver leaves is a good one: the
        modes that contract fast are gone from it.
    """
    direction = _unit(start) * radius
    for _ in range(iterations):
        direction = _unit(f(x + direction) - fx) * radius
    return direction


def expansion(f: Callable[[Tensor], Tensor], x: Tensor, fx: Tensor, direction: Tensor) -> Tensor:
    """||f(x + d) - f(x)|| / ||d|| per sample, real (batch,), differentiable in the parameters of f:
    what the training hinge bounds.
    """
    return (_length(f(x + direction) - fx) / _length(direction)).flatten()


def displacement(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """||f(x) - x|| / ||x|| per sample, real (batch,): how far f moves x, 0 for a fixed point."""
    tiny = torch.finfo(x.abs().dtype).tiny
    return (_length(f(x) - x) / _length(x).clamp_min(tiny)).flatten()
