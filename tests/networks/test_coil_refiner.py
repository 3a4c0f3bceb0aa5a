"""Refined coil maps: of unit root-sum-of-squares, finite, and none's business but their own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.networks.coil_refiner import CoilRefiner


def maps_of(*shape: int) -> Tensor:
    maps = torch.randn(*shape, dtype=torch.complex128)
    return maps / maps.abs().square().sum(1, keepdim=True).sqrt()


def drawn(scale: float = 0.1) -> CoilRefiner:
    """A refiner with weights that are none of those it starts from."""
    refiner = CoilRefiner((3, 4)).double()
    for parameter in refiner.parameters():
        parameter.data.add_(scale * torch.randn_like(parameter))
    return refiner


def test_it_starts_as_the_identity() -> None:
    maps = maps_of(2, 3, 9, 11)
    torch.testing.assert_close(CoilRefiner((3, 4)).double()(maps), maps, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 3, 9, 11), (1, 8, 20, 34), (2, 1, 7, 6), (1, 2, 3, 8, 9)])
def test_maps_have_unit_root_sum_of_squares(shape: tuple[int, ...]) -> None:
    found = drawn()(maps_of(*shape))
    assert found.shape == shape
    total = found.abs().square().sum(1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-5)


def test_empty_coils_and_empty_pixels_are_finite_and_stay_empty() -> None:
    maps = maps_of(2, 3, 8, 9)
    maps[0], maps[1, 2], maps[1, ..., :4] = 0, 0, 0
    maps.requires_grad_()
    refiner = drawn()
    found = refiner(maps)
    found.abs().square().sum().backward()
    gradients = [maps.grad, *(parameter.grad for parameter in refiner.parameters())]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in (found, *gradients))
    assert not found[0].any() and not found[1, ..., :4].any()
    assert not found[1, 2].any() and found[1, :2, :, 4:].any()


def test_what_cancels_its_map_has_a_finite_gradient() -> None:
    """c + N(c) = 0: without an epsilon the root's slope would be infinite."""
    refiner, maps = drawn(), torch.ones(1, 1, 4, 4, dtype=torch.complex128)
    refiner.network = nn.Conv2d(2, 2, 1, bias=False).double()
    refiner.network.weight.data = -torch.eye(2, dtype=torch.float64).reshape(2, 2, 1, 1)
    found = refiner(maps)
    found.real.sum().backward()
    assert not found.any() and torch.isfinite(refiner.network.weight.grad).all()


def test_order_number_and_phase_of_coils_are_their_own() -> None:
    refiner, maps = drawn(), maps_of(2, 4, 9, 7)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(refiner(maps[:, order]), refiner(maps)[:, order])
    turn = torch.exp(1j * torch.rand(2, 4, 1, 1, dtype=torch.float64) * 6)
    torch.testing.assert_close(refiner(turn * maps), turn * refiner(maps))


def test_planes_of_a_volume_are_refined_one_by_one() -> None:
    # Real maps: the phase of a coil's volume is that of each of its planes.
    refiner, maps = drawn(), maps_of(1, 2, 3, 8, 9).abs() * (1 + 0j)
    torch.testing.assert_close(refiner(maps)[:, :, 1], refiner(maps[:, :, 1]))


def test_no_scale_is_no_network() -> None:
    with pytest.raises(InputError, match=r"widths: \(\) given, one whole number >= 1 a scale"):
        CoilRefiner(())
