"""Every operator on a pretended device: the CPU's numbers, nothing made in the wrong place, and
after the first call no wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from deqlab.operators import (
    CartesianOperator,
    ExactOffResonance,
    LinearOperator,
    NDFTOperator,
    NUFFTOperator,
    OffResonance,
)

SHAPE, VOLUME, BATCH, COILS, SAMPLES = (6, 8), (3, 6, 8), 2, 3, 40
Put = Callable[[Tensor], Tensor]


class Multiply(LinearOperator):
    """Pixel-wise product with `factor`, (y, x)."""

    def __init__(self, factor: Tensor):
        super().__init__()
        self.register_buffer("factor", factor)

    def _forward(self, image: Tensor) -> Tensor:
        return image * self.factor

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return kspace * self.factor.conj()

    def select(self, index: Tensor) -> Multiply:
        return self


class Parts:
    """What operators are made of, drawn on the CPU and put where the operator is to be."""

    def __init__(self, put: Put = lambda tensor: tensor):
        torch.manual_seed(0)
        self.put = put

    def lines(self, every: int) -> Tensor:
        return self.put(torch.arange(SHAPE[1]) % every == 1)

    def mask(self, *axes: int) -> Tensor:
        return self.put(torch.rand(axes) < 0.5)

    def points(self, *axes: int) -> Tensor:
        return self.put(torch.rand(*axes, dtype=torch.float64) - 0.5)

    def maps(self, *axes: int) -> Tensor:
        return self.put(torch.randn(*axes, dtype=torch.complex128))

    def field(self, *axes: int) -> Tensor:
        return self.put(10 * torch.rand(*axes, dtype=torch.float64) - 5)

    def times(self, length: int) -> Tensor:
        return self.put(torch.rand(length, dtype=torch.float64) * 0.01)


OPERATORS: dict[str, Callable[[Parts], LinearOperator]] = {
    "lines": lambda p: CartesianOperator(p.lines(2)),
    "lines-coils": lambda p: CartesianOperator(p.lines(3), p.maps(COILS, *SHAPE)),
    "points": lambda p: CartesianOperator(p.mask(*SHAPE)),
    "points-coils": lambda p: CartesianOperator(
        p.mask(BATCH, 1, *SHAPE), p.maps(BATCH, COILS, *SHAPE)
    ),
    "volume": lambda p: CartesianOperator(p.mask(*VOLUME), p.maps(COILS, *VOLUME), 3),
    "composed": lambda p: CartesianOperator(p.lines(2)) @ Multiply(p.maps(*SHAPE)),
    "ndft": lambda p: NDFTOperator(p.points(SAMPLES, 2), SHAPE, p.maps(COILS, *SHAPE)),
    "ndft-volume": lambda p: NDFTOperator(p.points(SAMPLES, 3), VOLUME),
    "nufft": lambda p: NUFFTOperator(p.points(SAMPLES, 2), SHAPE, p.maps(COILS, *SHAPE)),
    "nufft-own-parts": lambda p: NUFFTOperator(
        p.points(BATCH, SAMPLES, 2), SHAPE, p.maps(BATCH, COILS, *SHAPE)
    ).weighted(p.put(torch.rand(BATCH, SAMPLES, dtype=torch.float64))),
    "nufft-volume": lambda p: NUFFTOperator(p.points(SAMPLES, 3), VOLUME, p.maps(COILS, *VOLUME)),
    "field-lines": lambda p: OffResonance(
        CartesianOperator(p.lines(2), p.maps(COILS, *SHAPE)), p.field(*SHAPE), p.times(SHAPE[0])
    ),
    "field-nufft": lambda p: OffResonance(
        NUFFTOperator(p.points(SAMPLES, 2), SHAPE), p.field(BATCH, *SHAPE), p.times(SAMPLES)
    ),
    "field-exact": lambda p: ExactOffResonance(
        p.points(SAMPLES, 2), SHAPE, p.field(BATCH, *SHAPE), p.times(SAMPLES), p.maps(COILS, *SHAPE)
    ),
}


class Case(NamedTuple):
    build: Callable[[Parts], LinearOperator]
    image: Tensor
    kspace: Tensor
    finufft: bool


@pytest.fixture(params=list(OPERATORS))
def case(request: pytest.FixtureRequest) -> Case:
    name, build = request.param, OPERATORS[request.param]
    shape = VOLUME if "volume" in name else SHAPE
    image = torch.randn(BATCH, *shape, dtype=torch.complex128)
    kspace = torch.randn_like(build(Parts())(image))
    return Case(build, image, kspace, "nufft" in name)


def products(A: LinearOperator, image: Tensor, kspace: Tensor) -> list[Tensor]:
    """A, A.H and A.normal, and the gradients of what is quadratic in each."""
    image, kspace = image.clone().requires_grad_(), kspace.clone().requires_grad_()
    found = []
    for map_, x in ((A, image), (A.H, kspace), (A.normal, image)):
        y = map_(x)
        (first,) = torch.autograd.grad(y.abs().square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.abs().square().sum(), x)
        found += [y.detach(), first.detach(), second]
    return found


def test_the_numbers_of_the_cpu(same, case: Case) -> None:
    same(products, case.build(Parts()), case.image, case.kspace)


def test_made_where_its_parts_are(device, same, case: Case) -> None:
    """The same, and its norm, without a move of the operator."""
    there = case.build(Parts(lambda tensor: tensor.to(device.name)))
    expected = case.build(Parts()).norm(case.image, 5)
    found = there.norm(case.image.to(device.name), 5)
    assert found.device == device.name
    torch.testing.assert_close(found.cpu(), expected)
    for one, other in zip(
        products(there, case.image.to(device.name), case.kspace.to(device.name)),
        products(case.build(Parts()), case.image, case.kspace),
    ):
        assert one.device == device.name
        torch.testing.assert_close(one.cpu(), other)


def test_the_members_of_a_batch(same, case: Case) -> None:
    same(
        lambda A, x, index: A.select(index)(x[index]),
        case.build(Parts()),
        case.image,
        torch.tensor([1]),
    )


def test_no_wait_after_the_first_call(device, case: Case) -> None:
    """finufft computes on the CPU (`Plans` says so): its products bring the samples there and back,
    and nothing else does. The NUFFT's A.normal is a convolution and needs no finufft.
    """
    A = case.build(Parts()).to(device.name)
    image, kspace = case.image.to(device.name), case.kspace.to(device.name)
    products(A, image, kspace)
    for product, x in ((A, image), (A.H, kspace), (A.normal, image)):
        device.waits.clear(), device.uploads.clear()
        product(x)
        if case.finufft and not (product == A.normal and isinstance(A, NUFFTOperator)):
            assert device.waits and device.uploads
            assert all("operators/plans.py" in w.where for w in device.waits + device.uploads)
        else:
            assert device.waits == device.uploads == []
