"""How large is J = df/dx? Its Frobenius norm to penalise and its spectral radius to watch, cheaply
enough for every step.

Both need vector-Jacobian products only. `deqlab.equilibrium.measure` has the slower, more precise
ones for a model under study.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.rank import Rank
from deqlab.equilibrium.graph import check_graph, detached
from deqlab.solvers.flat import State, flatten, parts, unflatten
from deqlab.solvers.protocol import AnyMap


def jacobian_penalty(
    f: AnyMap,
    x: State,
    probes: int = 1,
    generator: torch.Generator | None = None,
    rank: Rank = Rank(),
) -> Tensor:
    """An unbiased estimate of ||J||_F^2 / n per sample, real (batch,), differentiable in what f
    depends on; constant in x.

    The mean of ||J^T e||^2 / n over `probes` vectors e of independent signs, one product each. n
    counts real numbers: a complex pixel is two.
    ||J||_F^2 / n is the mean squared singular value, so a map of contraction rate r gives at most
    r^2. Add a small multiple of its mean to the loss. Needs a twice differentiable f (for one
    compiled by torch.compile, take its uncompiled form here).
    generator: of the signs, on the CPU. rank: whose share of a batch x is. Without grad it is the
    number alone.
    Source: S. Bai, V. Koltun and J. Z. Kolter, Stabilizing equilibrium models by Jacobian
    regularization, ICML 2021, section 4, with signs (M. F. Hutchinson, 1990) for the Gaussian
    probes: their variance is smaller.
    """
    if probes < 1:
        raise InputError(f"probes: {probes} given, at least 1 needed")
    record = torch.is_grad_enabled()
    transpose, like = _pullback(f, x, record)
    total = like.new_zeros(len(like))
    for _ in range(probes):
        signs = rank.drawn(partial(torch.randint, 2, generator=generator), like.shape)
        signs = signs.to(like) * 2 - 1
        total = total + transpose(signs).square().sum(dim=1)
    return total / (probes * like.shape[1])


def power_iteration(
    f: AnyMap, x: State, direction: Tensor | None = None, iterations: int = 5
) -> tuple[Tensor, Tensor]:
    """The growth rate of (J^T)^k, real (batch,), in the limit the spectral radius of J, and the
    direction reached, (batch, n).

    direction: where to begin, the one returned by the last training step, so that few iterations a
    step follow the slowly changing J; None begins with noise, and reads low or high until the other
    directions have died out. One vector-Jacobian product an iteration, one evaluation of f for all.
    The rate is the geometric mean over the iterations, which a rotating pair of eigenvalues
    disturbs less than the last one; it has no gradient.
    """
    if iterations < 1:
        raise InputError(f"iterations: {iterations} given, at least 1 needed")
    transpose, like = _pullback(f, x, record=False)
    v = torch.randn_like(like) if direction is None else direction
    if v.shape != like.shape:
        raise InputError(
            f"direction: shape {tuple(v.shape)} given, {tuple(like.shape)} needed for this state"
        )
    tiny = torch.finfo(like.dtype).tiny
    v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(tiny)
    logarithms = []
    for _ in range(iterations):
        v = transpose(v)
        length = torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(tiny)
        logarithms.append(length.log().squeeze(1))
        v = v / length
    return torch.stack(logarithms).mean(0).exp(), v


def _pullback(f: AnyMap, x: State, record: bool) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """v -> J^T v on real (batch, n), differentiable itself where `record`; and x in that form."""
    with torch.enable_grad():
        point = tuple(part.detach().requires_grad_() for part in parts(x))
        output = f(point if isinstance(x, tuple) else point[0])
    check_graph(output, point)
    outputs = [part for part in parts(output) if part.requires_grad]

    def transpose(v: Tensor) -> Tensor:
        pieces = [
            piece
            for piece, part in zip(parts(unflatten(v, output)), parts(output))
            if part.requires_grad
        ]
        pulled = torch.autograd.grad(
            outputs, point, pieces, retain_graph=True, create_graph=record, materialize_grads=True
        )
        return flatten(pulled)

    return transpose, flatten(detached(x))
