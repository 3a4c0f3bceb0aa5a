"""Measured constants against matrices whose constants are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.equilibrium.measure import (
    dense_jacobian,
    displacement,
    expansion,
    jacobian_products,
    spectral_norm,
    spectral_radius,
    worst_direction,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def linear(M: Tensor):
    """x -> M x per sample of (batch, n), M (batch, n, n)."""
    return lambda x: torch.einsum("bij,bj->bi", M, x)


def points(batch: int, n: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(batch, n, dtype=dtype)


def with_spectrum(eigenvalues: Tensor, skew: float) -> Tensor:
    """Matrices (batch, n, n) with these eigenvalues (batch, n); not normal where skew > 0."""
    n = eigenvalues.shape[-1]
    S = torch.linalg.qr(torch.randn(n, n, dtype=eigenvalues.dtype))[0] + skew * torch.randn(
        n, n, dtype=eigenvalues.dtype
    )
    return S @ torch.diag_embed(eigenvalues) @ torch.linalg.inv(S)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_norm_is_the_largest_singular_value_of_every_sample(dtype: torch.dtype) -> None:
    M = torch.randn(4, 6, 6, dtype=dtype) * torch.tensor([0.1, 1, 3, 0.5])[:, None, None]
    measured = spectral_norm(linear(M), points(4, 6, dtype), iterations=200)
    assert_close(measured, torch.linalg.matrix_norm(M, ord=2), rtol=1e-4, atol=0)


def test_norm_is_approached_from_below() -> None:
    M = torch.randn(3, 9, 9, dtype=torch.float64)
    truth = torch.linalg.matrix_norm(M, ord=2)
    for iterations in (0, 1, 3, 10):
        assert bool(
            (
                spectral_norm(linear(M), points(3, 9, torch.float64), iterations)
                <= truth * (1 + 1e-12)
            ).all()
        )


@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_radius_is_the_largest_modulus_of_an_eigenvalue(skew: float) -> None:
    """Not the norm: of matrices that are not normal the norm is larger."""
    eigenvalues = torch.tensor([[0.9, -0.5, 0.3, 0.1], [0.2, -1.5, 0.6, 0.0]], dtype=torch.float64)
    M = with_spectrum(eigenvalues, skew)
    measured = spectral_radius(linear(M), points(2, 4, torch.float64), iterations=200)
    assert_close(measured, torch.tensor([0.9, 1.5], dtype=torch.float64), rtol=1e-3, atol=0)
    if skew:
        assert bool((torch.linalg.matrix_norm(M, ord=2) > 1.05 * measured).all())


def test_what_a_solve_left_over_finds_the_slow_mode_at_once() -> None:
    """One mode in two hundred fades slowly: few iterations overlook it from an image anywhere, and
    do not where Picard stopped.
    """
    eigenvalues = torch.linspace(-0.9, 0.9, 200, dtype=torch.float64)[None].clone()
    eigenvalues[:, 0] = 0.99
    M = with_spectrum(eigenvalues, 0.0)
    x = points(1, 200, torch.float64)
    stopped = (torch.linalg.matrix_power(M, 120) @ x[..., None])[..., 0]
    assert float(spectral_radius(linear(M), stopped, 8)) == pytest.approx(0.99, abs=0.01)
    assert float(spectral_radius(linear(M), x, 8)) < 0.95
    assert float(
        spectral_norm(linear(M), x, 8, start=linear(M)(stopped) - stopped)
    ) == pytest.approx(0.99, abs=0.01)
    assert float(spectral_norm(linear(M), x, 8)) < 0.95
    # Nothing left over is no reason to find nothing.
    assert 0.5 < float(spectral_radius(linear(M), 0 * x, 8)) < 0.95
    assert_close(spectral_norm(linear(M), x, 8, start=0 * x), spectral_norm(linear(M), x, 8))


@pytest.mark.parametrize("angle", [0.3, 1.0, math.pi / 2])
def test_radius_of_a_rotation(angle: float) -> None:
    """A pair of conjugate eigenvalues turns for ever: the mean growth is their modulus."""
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    stretch = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    M = (0.8 * stretch @ turn @ torch.linalg.inv(stretch)).expand(1, 2, 2)
    assert float(
        spectral_radius(linear(M), points(1, 2, torch.float64), iterations=400)
    ) == pytest.approx(0.8, rel=0.02)
    complex_turn = torch.full(
        (1, 1, 1), 0.8 * complex(math.cos(angle), math.sin(angle)), dtype=torch.complex128
    )
    assert float(
        spectral_radius(linear(complex_turn), points(1, 1, torch.complex128))
    ) == pytest.approx(0.8, rel=1e-6)


def test_complex_maps_count_as_real_ones() -> None:
    """x + conj(x) doubles the real part and loses the imaginary one: no complex matrix does
    that.
    """
    x = points(2, 3, torch.complex128)
    assert_close(
        spectral_norm(lambda z: z + z.conj(), x), torch.full((2,), 2.0, dtype=torch.float64)
    )
    assert_close(
        spectral_radius(lambda z: z + z.conj(), x), torch.full((2,), 2.0, dtype=torch.float64)
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_products_with_the_jacobian_and_its_transpose(dtype: torch.dtype) -> None:
    """Against a dense Jacobian of a map that is not linear, at the point that was asked for."""
    W = torch.randn(4, 4, dtype=dtype)

    def f(x: Tensor) -> Tensor:
        z = x @ W.mT
        return (
            torch.complex(torch.tanh(z.real), torch.sin(z.imag) * z.real)
            if z.is_complex()
            else torch.tanh(z)
        )

    x, v, u = (points(2, 4, dtype) for _ in range(3))
    forward, transpose = jacobian_products(f, x)

    def as_real(z: Tensor) -> Tensor:
        return (torch.view_as_real(z) if z.is_complex() else z).flatten()

    def back(r: Tensor) -> Tensor:
        return torch.view_as_complex(r.reshape(2, 4, 2)) if dtype.is_complex else r.reshape(2, 4)

    J = torch.autograd.functional.jacobian(lambda r: as_real(f(back(r))), as_real(x))
    for _ in range(2):
        assert_close(as_real(forward(v)), J @ as_real(v))
        assert_close(as_real(transpose(u)), J.mT @ as_real(u))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_dense_jacobian_predicts_small_changes(dtype: torch.dtype) -> None:
    """f(x + d) - f(x) = J d to first order, per sample, between spaces of two sizes, for a map that
    is not analytic.
    """
    W = torch.randn(4, 6, dtype=dtype)

    def f(x: Tensor) -> Tensor:
        return torch.sin((x @ W.mT).abs()) * (x[:, :1] + 1).conj()

    def as_real(z: Tensor) -> Tensor:
        return (torch.view_as_real(z.resolve_conj()) if z.is_complex() else z).reshape(len(z), -1)

    x, d = points(3, 6, dtype), 1e-7 * points(3, 6, dtype)
    J = dense_jacobian(f, x)
    assert J.shape == (3, 4, 6) if dtype == torch.float64 else J.shape == (3, 8, 12)
    predicted = (J @ as_real(d).unsqueeze(-1)).squeeze(-1)
    assert_close(
        predicted, as_real(f(x + d) - f(x)), rtol=0, atol=1e-5 * float(predicted.abs().max())
    )


def projections(n: int, rank: int) -> tuple[Tensor, Tensor]:
    """An orthogonal projection (n, n) of this rank and its complement, complex."""
    Q = torch.linalg.qr(torch.randn(n, rank, dtype=torch.complex128))[0]
    return Q @ Q.mH, torch.eye(n, dtype=torch.complex128) - Q @ Q.mH


def test_norm_between_two_subspaces() -> None:
    """||Q M P|| of matrices, and not ||M P||, ||Q M|| or ||P M Q||."""
    P, Q = projections(7, 3)[0], projections(7, 2)[0]
    M = torch.randn(3, 7, 7, dtype=torch.complex128)
    measured = spectral_norm(
        linear(M),
        points(3, 7, torch.complex128),
        300,
        domain=lambda v: v @ P.mT,
        target=lambda v: v @ Q.mT,
    )
    assert_close(measured, torch.linalg.matrix_norm(Q @ M @ P, ord=2), rtol=1e-4, atol=0)


def test_radius_within_a_subspace() -> None:
    """The largest eigenvalue of P M P: for a block triangular M each half has its own, whatever
    couples them.
    """
    P, rest = projections(6, 3)
    start = points(1, 6, torch.complex128)
    M = 0.9 * P + 0.4 * rest + 5 * P @ torch.randn(1, 6, 6, dtype=torch.complex128) @ rest
    for subspace, radius in ((P, 0.9), (rest, 0.4)):
        measured = spectral_radius(linear(M), start, within=lambda v, S=subspace: v @ S.mT)
        assert float(measured) == pytest.approx(radius, rel=1e-3)
    # What leaves the subspace and comes back has not stayed in it: the whole has radius 1, either
    # half 0.
    swap = torch.zeros(1, 6, 6, dtype=torch.complex128)
    swap[:, :3, 3:] = swap[:, 3:, :3] = torch.eye(3)
    first = torch.tensor([1, 1, 1, 0, 0, 0], dtype=torch.complex128)
    assert float(spectral_radius(linear(swap), start)) == pytest.approx(1)
    assert float(spectral_radius(linear(swap), start, within=lambda v: v * first)) < 1e-6


def test_nothing_lives_in_an_empty_subspace() -> None:
    """A projection that leaves rounding errors only: they are not mistaken for a direction."""
    P, _ = projections(5, 5)
    M, x = torch.randn(2, 5, 5, dtype=torch.complex128), points(2, 5, torch.complex128)

    def nothing(v: Tensor) -> Tensor:
        return v - v @ P.mT

    assert bool((spectral_norm(linear(M), x, domain=nothing) < 1e-12).all())
    assert bool((spectral_norm(linear(M), x, target=nothing) < 1e-12).all())
    assert bool((spectral_radius(linear(M), x, within=nothing) < 1e-12).all())


def test_measuring_works_without_grad_and_leaves_no_gradients() -> None:
    W = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    x = points(2, 3, torch.float64).requires_grad_()
    with torch.no_grad():
        measured = spectral_norm(lambda z: z @ W, x, 100)
    assert_close(measured, torch.linalg.matrix_norm(W.detach(), ord=2).expand(2), rtol=1e-4, atol=0)
    assert W.grad is None and x.grad is None and not measured.requires_grad


def test_the_worst_direction_is_the_leading_eigenvector() -> None:
    Q = torch.linalg.qr(torch.randn(2, 6, 6, dtype=torch.float64))[0]
    M = (
        Q
        @ torch.diag_embed(torch.tensor([-1.2, 0.6, 0.5, 0.3, 0.2, 0.1], dtype=torch.float64))
        @ Q.mT
    )
    f = linear(M)
    x = points(2, 6, torch.float64)
    radius = torch.tensor([[0.1], [5.0]], dtype=torch.float64)
    direction = worst_direction(
        f, x, f(x), radius, iterations=40, start=points(2, 6, torch.float64)
    )
    assert_close(direction.norm(dim=1, keepdim=True), radius)
    assert_close((direction / radius * Q[:, :, 0]).sum(1).abs(), torch.ones(2, dtype=torch.float64))
    assert_close(expansion(f, x, f(x), direction), torch.full((2,), 1.2, dtype=torch.float64))
    # Where it begins decides how soon it arrives, and its length does not matter.
    at_once = worst_direction(f, x, f(x), radius, iterations=0, start=1e-9 * Q[:, :, 0])
    assert_close(at_once, radius * Q[:, :, 0])


def test_expansion_sees_a_neighbourhood_and_is_differentiable() -> None:
    """f(x) = w max(x, 1) does not move within the flat part and does beyond it."""
    w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    x, fx = torch.zeros(1, 1, dtype=torch.float64), 2 * torch.ones(1, 1, dtype=torch.float64)

    def f(z: Tensor) -> Tensor:
        return w * z.clamp_min(1)

    ratios = [
        expansion(f, x, w * torch.ones_like(x), torch.full_like(x, length)) for length in (0.5, 4.0)
    ]
    assert_close(torch.cat(ratios), torch.tensor([0.0, 2 * 3 / 4], dtype=torch.float64))
    assert float(torch.autograd.grad(ratios[1].sum(), w)[0]) == pytest.approx(3 / 4)
    assert float(expansion(f, x, fx, torch.full_like(x, 4.0)).detach()) == pytest.approx(1.5)


def test_how_far_a_point_is_moved() -> None:
    x = points(3, 5, torch.complex128)
    factors = torch.tensor([1.0, 0.75, -1.0])[:, None]
    assert_close(displacement(lambda v: factors * v, x), torch.tensor([0, 0.25, 2]).double())
    assert displacement(lambda v: v, torch.zeros(2, 3)).tolist() == [0, 0]
