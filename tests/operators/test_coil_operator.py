"""Maps that are learned: the same numbers as maps that are not, and gradients that differences
confirm.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deqlab.operators import CartesianOperator, LinearOperator, NDFTOperator, NUFFTOperator
from deqlab.operators.coil_operator import CoilOperator

POINTS = {"dtype": torch.float64}


def lines() -> CoilOperator:
    """Few enough lines for the fast path of whole lines."""
    return CartesianOperator(torch.tensor([1, 0, 1, 0, 0]).bool())


def points() -> CoilOperator:
    """A mask for each member."""
    return CartesianOperator(torch.rand(2, 1, 3, 5) < 0.6)


def exact() -> CoilOperator:
    """A trajectory for each member."""
    return NDFTOperator(torch.rand(2, 7, 2, **POINTS) - 0.5, (3, 5))


def weighted() -> CoilOperator:
    """Weights, and a trajectory for all."""
    points, weights = torch.rand(7, 2, **POINTS) - 0.5, torch.rand(2, 7, **POINTS)
    return NUFFTOperator(points, (3, 5), weights=weights, tolerance=1e-12).scaled(0.7)


KINDS = (lines, points, exact, weighted)
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def maps_and_data(A: CoilOperator, members: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, an image and k-space."""
    maps = torch.randn(members, 2, 3, 5, dtype=torch.complex128)
    image = torch.randn(2, 3, 5, dtype=torch.complex128)
    return maps, image, torch.randn_like(A.with_maps(maps)(image))


def uses(A: CoilOperator, image: Tensor, kspace: Tensor) -> list[tuple[Callable, Tensor]]:
    """A, A.H and A.normal as functions of the maps and of what they are applied to."""

    def product(name: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda maps, x: getattr(A.with_maps(maps), name)(x)

    return [(product("forward"), image), (product("H"), kspace), (product("normal"), image)]


@each
@pytest.mark.parametrize("members", [1, 2])
def test_learned_maps_measure_what_others_do(kind: Callable[[], CoilOperator], members) -> None:
    A = kind()
    maps, image, kspace = maps_and_data(A, members)
    for product, x in uses(A, image, kspace):
        plain, learned = product(maps, x), product(maps.clone().requires_grad_(), x)
        assert learned.requires_grad and not plain.requires_grad
        torch.testing.assert_close(learned.detach(), plain)
        with torch.no_grad():
            torch.testing.assert_close(product(maps.clone().requires_grad_(), x), plain)


@each
def test_gradients_reach_the_maps(kind: Callable[[], CoilOperator]) -> None:
    A = kind()
    maps, image, kspace = maps_and_data(A)
    for product, x in uses(A, image, kspace):
        inputs = maps.clone().requires_grad_(), x.clone().requires_grad_()
        assert torch.autograd.gradcheck(product, inputs, fast_mode=True)
        assert torch.autograd.gradgradcheck(product, inputs, fast_mode=True)


def test_gradients_reach_the_maps_of_a_volume() -> None:
    A = CartesianOperator(torch.rand(2, 3, 5) < 0.6, dimensions=3)
    maps = torch.randn(1, 2, 2, 3, 5, dtype=torch.complex128, requires_grad=True)
    image = torch.randn(2, 2, 3, 5, dtype=torch.complex128)
    assert torch.autograd.gradcheck(lambda c: A.with_maps(c).normal(image), maps, fast_mode=True)


def test_only_maps_change_and_plans_are_shared() -> None:
    A = weighted()
    maps = torch.randn(2, 3, 3, 5, dtype=torch.complex128)
    image = torch.randn(2, 3, 5, dtype=torch.complex128)
    A(image)
    other = A.with_maps(maps)
    assert other._plans is A._plans and other.coils == 3 and A.coils == 1
    assert torch.equal(other.weights, A.weights) and torch.equal(other.gain, A.gain)
    assert torch.equal(other.with_maps(None)(image), A(image))
    new = NUFFTOperator(A.trajectory, A.shape, maps, A.tolerance, A.weights)
    torch.testing.assert_close(other(image), new(image))


def test_a_bound_of_the_norm_is_a_constant() -> None:
    maps = torch.randn(2, 3, 3, 5, dtype=torch.complex128, requires_grad=True)
    A: LinearOperator = lines().with_maps(maps)
    assert not A.squared_norm(torch.zeros(2, 3, 5, dtype=torch.complex128)).requires_grad
