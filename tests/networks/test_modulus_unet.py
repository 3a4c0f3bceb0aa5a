"""The modulus U-net commutes with every complex number, nearly with a phase that varies slowly, and
has finite slopes wherever an image has nothing.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.networks import DENOISERS, ModulusUNet
from deqlab.networks.demodulated_unet import gaussian_blur
from deqlab.networks.modulus_unet import ModulusBlock
from deqlab.networks.protocol import Denoiser, ToldDenoiser


def trained(**chosen) -> ModulusUNet:
    """A network with weights that are none of those it starts from."""
    model = ModulusUNet(**{"widths": (4, 6), **chosen})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (3, 5), (1, 1)])
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int], fold: int) -> None:
    x = image(2, *size)
    small = {"widths": (4, 6, 8), "fold": fold}
    assert torch.equal(ModulusUNet(**small).double()(x), x), "R starts as the identity"
    assert trained(**small)(x).shape == x.shape


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j, 1e-25j])
def test_it_commutes_with_every_complex_number(factor: complex) -> None:
    """In single precision too, where the square of 1e-25 is none."""
    model, x = trained(), image(2, 9, 12)
    level = torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None, None]
    found, turned = model(x, level), model(factor * x, abs(factor) * level)
    assert (found - x).norm() > 0.1 * x.norm()
    torch.testing.assert_close(turned / factor, found, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model(factor * x) / factor, model(x), rtol=1e-9, atol=1e-9)
    single, x = model.float(), x.to(torch.complex64)
    torch.testing.assert_close(single(factor * x) / factor, single(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_phase_that_varies_slowly_turns_it_nearly() -> None:
    """The slower, the more nearly: what is left falls with the slope."""
    model = trained()
    x = gaussian_blur(image(1, 64, 64), 1.5)
    change, left = model(x) - x, []
    for slope in (1e-2, 1e-3):
        angle = slope * torch.arange(64, dtype=torch.float64)
        wave = torch.polar(torch.ones_like(angle), angle)
        turned = model(wave * x) - wave * x
        left.append(float((turned - wave * change).norm() / change.norm()))
    assert left[0] < 0.2 and left[1] == pytest.approx(left[0] / 10, rel=0.2)


def test_it_is_as_strong_as_it_is_told() -> None:
    model, x = trained(level=0.03), image(2, 9, 12)
    peak = x.abs().amax((-2, -1), keepdim=True)
    torch.testing.assert_close(model.at(0.03 * peak)(x), model(x))
    told = model.at(0.2 * peak)
    assert (told(x) - model(x)).norm() > 1e-3 * x.norm()
    index = torch.tensor([1])
    torch.testing.assert_close(told.select(index)(x[index]), told(x)[index])
    one = model.at(torch.full((1, 1, 1), 0.4, dtype=torch.float64))
    torch.testing.assert_close(one(x)[1:], one(x[1:]))


def test_a_gate_is_what_its_formula_says() -> None:
    block = ModulusBlock(3).double()
    nn.init.normal_(block.told)
    z = image(2, 3, 5, 4)
    level = torch.rand(2, 1, 1, 1, dtype=torch.float64)
    mean = z.abs().square().mean(1, keepdim=True)
    seen = torch.nn.functional.conv2d(z.abs(), block.gate.weight, padding=1)
    right = z * (seen + block.told * level).clamp_min(0) / (mean + level**2).sqrt()
    found = torch.complex(*block.gated(torch.cat([z.real, z.imag]), level).chunk(2))
    torch.testing.assert_close(found, right)


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(), image(3, 8, 10)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_every_weight_takes_part() -> None:
    """In training from the start, but for the output, which is zero then."""
    for model in (trained(widths=(4, 6, 8)), ModulusUNet(widths=(4, 6, 8)).double()):
        if not model.network.outside.weight.any():
            nn.init.normal_(model.network.outside.weight)
        model(image(2, 16, 16)).abs().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("kind", ["zero", "dot"])
def test_slopes_are_finite_where_there_is_nothing(kind: str, dtype: torch.dtype) -> None:
    model = trained().to(dtype.to_real())
    x = torch.zeros(1, 40, 40, dtype=dtype)
    if kind == "dot":
        x[0, 7, 9] = 1 - 2j
    x.requires_grad_()
    found = model(x)
    assert bool(torch.isfinite(torch.view_as_real(found)).all())
    assert kind != "zero" or not found.any()
    found.abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())


def test_its_derivative_is_that_of_what_it_computes() -> None:
    model = trained(widths=(2,), fold=1)
    assert torch.autograd.gradcheck(model, (image(1, 4, 5).requires_grad_(),))


def test_it_runs_in_bfloat16_and_the_image_keeps_its_precision() -> None:
    model, x = trained().float(), image(2, 12, 12).to(torch.complex64)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(x)
    assert low.dtype == x.dtype
    assert (low - model(x)).norm() < 0.05 * (model(x) - x).norm()


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("modulus-unet", widths=(4, 6))
    assert isinstance(model, Denoiser) and isinstance(model, ToldDenoiser)
    card = {"widths": [4, 6], "fold": 2, "level": 0.02}
    assert DENOISERS.to_json(model) == {"name": "modulus-unet", **card}
    for wrong in ({"widths": ()}, {"widths": (4, 0)}, {"fold": 0}, {"level": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("modulus-unet", **wrong)
