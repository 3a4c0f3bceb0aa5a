"""The demodulated U-net knows no phase and no scale of an image, and has finite slopes wherever an
image has nothing.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.networks import DENOISERS, DemodulatedUNet
from deqlab.networks.demodulated_unet import gaussian_blur, local_phase
from deqlab.networks.protocol import Denoiser

SMALL = {"widths": (4, 6), "wide": (2.0,)}


def trained(**chosen) -> DemodulatedUNet:
    """A network with weights that are none of those it starts from."""
    model = DemodulatedUNet(**{**SMALL, **chosen})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (3, 5), (1, 1)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int]) -> None:
    x = image(2, *size)
    assert torch.equal(DemodulatedUNet().double()(x), x), "R starts as the identity"
    assert trained(widths=(4, 6, 8))(x).shape == x.shape


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j, 1e-25j])
def test_it_commutes_with_every_complex_number(factor: complex) -> None:
    """In single precision too, where the square of 1e-25 is none."""
    model, x = trained(), image(2, 9, 12)
    turned = model(factor * x)
    assert (model(x) - x).norm() > 0.1 * x.norm()
    torch.testing.assert_close(turned / factor, model(x))
    single = model.float()
    x = x.to(torch.complex64)
    torch.testing.assert_close(single(factor * x) / factor, single(x), rtol=1e-4, atol=1e-5)


def test_it_is_as_strong_as_it_is_told() -> None:
    """In the units of the image; untold, it takes the share of the peak that its options name."""
    model, x = trained(level=0.03), image(2, 9, 12)
    peak = x.abs().amax((-2, -1), keepdim=True)
    torch.testing.assert_close(model.at(0.03 * peak)(x), model(x))
    told = model.at(0.2 * peak)
    assert (told(x) - model(x)).norm() > 1e-3 * x.norm()
    torch.testing.assert_close(model.at(6 * 0.2 * peak)(6j * x) / 6j, told(x))
    index = torch.tensor([1])
    torch.testing.assert_close(told.select(index)(x[index]), told(x)[index])
    torch.testing.assert_close(told.select(index).select(torch.tensor([0]))(x[1:]), told(x)[1:])


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_pixels_may_be_folded_into_channels(fold: int) -> None:
    x = image(2, 11, 13)
    assert torch.equal(DemodulatedUNet(fold=fold).double()(x), x)
    assert trained(fold=fold)(x).shape == x.shape


def test_a_phase_that_varies_slowly_turns_it_nearly() -> None:
    """A turn over 64 pixels changes N by a few per cent, where an image turned in the wrong way
    would change it by its own size.
    """
    model = trained()
    x = gaussian_blur(image(1, 64, 64), 1.5)
    wave = torch.polar(*torch.broadcast_tensors(torch.ones(()), torch.arange(64) * (torch.pi / 32)))
    change, turned = model(x) - x, model(wave * x) - wave * x
    assert (turned - wave * change).norm() < 0.15 * change.norm()


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(), image(3, 8, 10)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_every_weight_takes_part() -> None:
    model = trained(widths=(4, 6, 8), wide=(2.0, 4.0))
    model(image(1, 16, 16)).abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("kind", ["zero", "dot", "half"])
def test_slopes_are_finite_where_there_is_nothing(kind: str, dtype: torch.dtype) -> None:
    """An image of zeros, of one pixel, and one whose half the Gaussian does not reach."""
    model = trained().to(dtype.to_real())
    x = torch.zeros(1, 40, 40, dtype=dtype)
    if kind == "dot":
        x[0, 7, 9] = 1 - 2j
    if kind == "half":
        x[0, :8] = torch.randn(8, 40, dtype=dtype)
    x.requires_grad_()
    found = model(x)
    assert bool(torch.isfinite(torch.view_as_real(found)).all())
    assert kind != "zero" or not found.any()
    found.abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())


def test_its_derivative_is_that_of_what_it_computes() -> None:
    model = trained(widths=(3,), wide=())
    assert torch.autograd.gradcheck(model, (image(1, 4, 5).requires_grad_(),))


def test_the_average_and_its_phase() -> None:
    """A constant stays one away from the borders; its phase has modulus 1, and 0 where it is 0."""
    constant = torch.full((1, 41, 41), 2 - 1j, dtype=torch.complex128)
    blurred = gaussian_blur(constant, 2.0)
    torch.testing.assert_close(blurred[0, 20, 20], constant[0, 20, 20], rtol=1e-6, atol=0)
    assert local_phase(blurred)[0, 20, 20].abs() == pytest.approx(1, abs=1e-6)
    assert not local_phase(torch.zeros_like(constant)).any()


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("demodulated-unet", **SMALL)
    assert isinstance(model, Denoiser) and model.lipschitz is None
    card = {"widths": [4, 6], "fold": 2, "level": 0.02, "blur": 1.2, "wide": [2.0]}
    assert DENOISERS.to_json(model) == {"name": "demodulated-unet", **card}
    wrongs = ({"widths": ()}, {"widths": (4, 0)}, {"blur": 0}, {"wide": (1.0, -2.0)}, {"fold": 0})
    for wrong in wrongs:
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("demodulated-unet", **wrong)
