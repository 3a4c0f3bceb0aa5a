"""The pretended device is as strict as CUDA and no stricter, and a tensor that is made in the wrong
place is found.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pretended import PretendedDevice, WrongDevice
from torch import Tensor, nn

from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.recon import create

HERE = "test_pretended.py"


@pytest.fixture
def x(device: PretendedDevice) -> Tensor:
    x = torch.arange(1.0, 4.0).to(device.name)
    device.uploads.clear()
    return x


MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "view": lambda x: x[1:],
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "cast": lambda x: x.to(torch.complex64),
    "complex": lambda x: torch.view_as_real(x + 0j),
    "new_zeros": lambda x: x.new_zeros(2),
    "new_tensor": lambda x: x.new_tensor([1.0]),
    "zeros_like": torch.zeros_like,
    "zeros": lambda x: torch.zeros(2, device=x.device),
    "named": lambda x: torch.zeros(2, device="cuda"),
    "arange": lambda x: torch.arange(2, device=x.device),
    "randn": lambda x: torch.randn(2, device=x.device),
    "fftfreq": lambda x: torch.fft.fftfreq(4, device=x.device),
    "tensor": lambda x: torch.tensor([1.0], device=x.device),
    "as_tensor": lambda x: torch.as_tensor(np.ones(2), device=x.device),
    "like another": lambda x: torch.zeros(2).to(x),
    "deepcopy": copy.deepcopy,
    "parameter": lambda x: nn.Parameter(x),
    "module": lambda x: nn.Linear(2, 2).to(x.device).weight,
    "gradient": lambda x: torch.autograd.grad(
        (y := x.clone().requires_grad_()).prod(), y, create_graph=True
    )[0],
    "with a scalar": lambda x: x + torch.tensor(2.0),
    "with a number": lambda x: 2 * x,
    "indexed from the CPU": lambda x: x[torch.tensor([0, 1])],
    "written from the CPU": lambda x: x.clone().copy_(torch.zeros(3)),
}


@pytest.mark.parametrize("how", MADE)
def test_the_label_goes_on(device: PretendedDevice, x: Tensor, how: str) -> None:
    made = MADE[how](x)
    assert made.device == x.device == device.name and made.is_cuda and not made.is_cpu


class Planted(torch.autograd.Function):
    """x, with a backward that makes a tensor in the wrong place."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient + torch.zeros(3)


REFUSED: dict[str, Callable[[Tensor], object]] = {
    "no device": lambda x: x + torch.zeros(3),
    "one element": lambda x: x + torch.zeros(1),
    "in a list": lambda x: torch.cat([x, torch.zeros(3)]),
    "another device": lambda x: x + x.to("cuda:6"),
    "a matrix": lambda x: torch.eye(3) @ x,
    "einsum": lambda x: torch.einsum("ij,j->i", torch.eye(3), x),
    "where": lambda x: torch.where(torch.ones(3) > 0, x, x),
    "in place": lambda x: torch.zeros(3).add_(x),
    "a scalar that is written": lambda x: torch.zeros(()).add_(x.sum()),
    "out": lambda x: torch.add(x, x, out=torch.zeros(3)),
    "indexed by the device": lambda x: torch.zeros(3)[x > 1],
    "a generator of the CPU": lambda x: torch.randn(
        3, device=x.device, generator=torch.Generator()
    ),
    "a backward": lambda x: Planted.apply(x.clone().requires_grad_()).sum().backward(),
    "a parameter left behind": lambda x: nn.Linear(3, 2)(x),
}


@pytest.mark.parametrize("how", REFUSED)
def test_two_devices_do_not_mix(x: Tensor, how: str) -> None:
    with pytest.raises(WrongDevice, match=f"aten.*{HERE}"):
        REFUSED[how](x)


@pytest.mark.parametrize("convert", [Tensor.numpy, np.asarray])
def test_numpy_gets_nothing(x: Tensor, convert: Callable) -> None:
    with pytest.raises(TypeError, match=HERE):
        convert(x)
    convert(x.cpu())


WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] > 0),
    "if": lambda x: 1 if x.all() else 0,
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "tolist": lambda x: x.tolist(),
    "tensor of tensors": lambda x: torch.tensor([x[0], 1.0]),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 1],
    "masked values": lambda x: x.clone().__setitem__(x > 1, x[:2]),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "solve": lambda x: torch.linalg.solve(torch.diag(x), x),
    "eigh": lambda x: torch.linalg.eigvalsh(torch.diag(x)),
    "singular values": lambda x: torch.linalg.matrix_norm(torch.diag(x), ord=2),
    "repeat": lambda x: x.repeat_interleave(x.long()),
}
NO_WAIT: dict[str, Callable[[Tensor], object]] = {
    "shape": lambda x: x.shape[0] + len(x) + x.numel(),
    "where": lambda x: torch.where(x > 1, x, 0),
    "fill": lambda x: x.clone().__setitem__(x > 1, 0.0),
    "gather": lambda x: x[(x - 1).long()],
    "scalar": lambda x: x + torch.tensor(1.0) * 2,
    "solve_ex": lambda x: torch.linalg.solve_ex(torch.diag(x), x)[0],
    "backward": lambda x: x.clone().requires_grad_().norm().backward(),
}


@pytest.mark.parametrize("how", WAITS)
def test_what_the_host_waits_for(device: PretendedDevice, x: Tensor, how: str) -> None:
    WAITS[how](x)
    assert len(device.waits) == 1 and HERE in device.waits[0].where and device.uploads == []


@pytest.mark.parametrize("how", NO_WAIT)
def test_what_it_does_not_wait_for(device: PretendedDevice, x: Tensor, how: str) -> None:
    NO_WAIT[how](x)
    assert device.waits == device.uploads == []


def test_uploads(device: PretendedDevice, x: Tensor) -> None:
    x[torch.tensor([0])], x[[0, 1]], torch.tensor([1], device=x.device), torch.ones(2).to(x)
    x.copy_(torch.ones(3))
    assert len(device.uploads) == 5
    torch.ones(2).to(x.device, non_blocking=True)
    assert len(device.uploads) == 5 and device.waits == []


def test_a_gradient_goes_back_where_it_came_from(device: PretendedDevice) -> None:
    x = torch.ones(3, requires_grad=True)
    (first,) = torch.autograd.grad((x.to("cuda") ** 3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert first.device == second.device == torch.device("cpu")
    assert second.tolist() == [6, 6, 6]


class Toy(LinearOperator):
    """The identity, with a tensor made where nobody asked for it."""

    def _forward(self, image: Tensor) -> Tensor:
        return image + torch.zeros(image.shape[-1])

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return kspace


def test_a_planted_tensor_is_found_in_an_operator(x: Tensor) -> None:
    with pytest.raises(WrongDevice, match=rf"aten.add.Tensor: .*\(3,\) on cpu.*{HERE}"):
        Toy()(x)


PLANTS = {
    "deqlab.operators.cartesian.centring_phases": lambda length, like: torch.ones(2, length),
    "deqlab.solvers.anderson.dots": lambda rows, v: torch.zeros(len(rows), rows.shape[1]),
    "deqlab.recon.deq.fixed_point_map.FixedPointMap.phase": torch.ones(2, 1, 1),
}


@pytest.mark.parametrize("function", PLANTS)
def test_a_planted_tensor_is_found_in_the_library(device, monkeypatch, function: str) -> None:
    """A whole reconstruction passes, and does not with one function that forgets the device."""
    kspace = torch.randn(2, 1, 4, 6, dtype=torch.complex64).to(device.name)

    def reconstruct() -> Tensor:
        A = CartesianOperator(torch.arange(6) % 2 == 0).to(device.name)
        return create("de-prox", denoiser=DnCNN(2, 2)).to(device.name).solve(kspace, A, 0, 4).value

    assert reconstruct().device == device.name
    monkeypatch.setattr(function, PLANTS[function])
    with pytest.raises(WrongDevice, match=r" on cpu meets one on cuda:7, .*\.py:\d+"):
        reconstruct()
