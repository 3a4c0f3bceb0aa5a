"""Data consistency: measured samples to the bit, and the way between an image and all its coils."""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.recon.steps.data_consistency import CONSISTENCIES, Hard, Soft, WholeKspace

MASK = torch.tensor([True, False, True, True, False, False, True])


def two_kspaces() -> tuple[torch.Tensor, torch.Tensor]:
    one, other = torch.randn(2, 3, 2, 6, 7, dtype=torch.complex64)
    return one, other * MASK


def test_hard_keeps_measured_samples_bit_by_bit() -> None:
    predicted, measured = two_kspaces()
    found = Hard()(predicted, measured, MASK)
    assert torch.equal(found[..., MASK], measured[..., MASK])
    assert torch.equal(found[..., ~MASK], predicted[..., ~MASK])


@pytest.mark.parametrize("weight", [0.5, 10.0, 1e6])
def test_soft_weighs_them_and_learns_how_much(weight: float) -> None:
    predicted, measured = two_kspaces()
    soft = Soft(weight=weight)
    found = soft(predicted, measured, MASK)
    mean = (predicted + weight * measured) / (1 + weight)
    torch.testing.assert_close(found[..., MASK], mean[..., MASK])
    assert torch.equal(found[..., ~MASK], predicted[..., ~MASK])
    found.abs().sum().backward()
    assert soft.log_weight.grad.abs() > 0


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("size", [(6, 7), (5, 8)])
def test_an_image_comes_back_from_all_of_its_kspace(measure, coils: int, size) -> None:
    """Also where maps are not normalised; and where no coil sees anything there is nothing."""
    A = measure(2, coils, size).A
    if coils > 1:
        maps = 3 * A.coil_maps
        maps[..., 0, 0] = 0
        A = CartesianOperator(A.mask, maps)
    image = torch.randn(2, *size, dtype=torch.complex128)
    whole = WholeKspace(A)
    kspace = whole.kspace(image)
    torch.testing.assert_close(kspace * A.mask, A(image))
    if coils > 1:
        image[..., 0, 0] = 0
    torch.testing.assert_close(whole.image(kspace), image)


def test_the_combined_image_is_the_nearest_one(measure) -> None:
    """No small change of it brings its k-space nearer to the one that was asked for."""
    A = measure(1, 3, (6, 7)).A
    whole = WholeKspace(CartesianOperator(A.mask, A.coil_maps * torch.rand(6, 7)))
    kspace = torch.randn(1, 3, 6, 7, dtype=torch.complex128)
    image = whole.image(kspace).requires_grad_()
    (whole.kspace(image) - kspace).abs().square().sum().backward()
    assert image.grad.abs().max() < 1e-12


def test_they_are_chosen_by_name_and_off_the_grid_there_is_no_whole() -> None:
    assert CONSISTENCIES.names() == ["hard", "soft"]
    assert CONSISTENCIES.make("soft", weight=2).log_weight.exp().item() == pytest.approx(2)
    with pytest.raises(InputError, match="unknown data consistency 'sfot', did you mean soft?"):
        CONSISTENCIES.make("sfot")
    with pytest.raises(InputError, match="weight: 0 given"):
        CONSISTENCIES.make("soft", weight=0)
    with pytest.raises(InputError, match="A: NUFFTOperator given, samples of a Cartesian grid"):
        WholeKspace(NUFFTOperator(torch.rand(20, 2) - 0.5, (8, 8)))
