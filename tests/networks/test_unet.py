"""The U-net keeps its promises for any size: the identity at first, scale, every weight in use."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.networks import DENOISERS, UNet
from deqlab.networks.protocol import Denoiser


def trained(model: nn.Module) -> nn.Module:
    """The model with weights that are none of those it starts from."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(16, 16), (20, 34), (95, 127), (3, 5)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int]) -> None:
    model, x = UNet().double(), image(2, *size)
    assert torch.equal(model(x), x), "R starts as the identity"
    assert trained(model)(x).shape == x.shape


def test_it_commutes_with_the_scale_of_an_image() -> None:
    model, x = trained(UNet(widths=(4, 6))), image(2, 9, 12)
    torch.testing.assert_close(model(7.5 * x), 7.5 * model(x))


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(UNet(widths=(4, 6))), image(3, 8, 10)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_the_residual_is_an_option() -> None:
    model, x = trained(UNet(widths=(4,))), image(1, 6, 6)
    other = UNet(widths=(4,), residual=False).double()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x), x + other(x))


def test_its_coarsest_scale_sees_the_whole_image() -> None:
    """A pixel changes another one 40 pixels away."""
    model, x = trained(UNet(widths=(4, 4, 4, 4))), image(1, 64, 64)
    x.requires_grad_()
    model(x)[0, 10, 10].abs().backward()
    assert x.grad[0, 50, 10].abs() > 0


def test_every_weight_takes_part() -> None:
    model = trained(UNet(widths=(4, 6, 8)))
    model(image(1, 16, 16)).abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("unet", widths=(4, 6))
    assert isinstance(model, Denoiser) and model.lipschitz is None
    assert DENOISERS.to_json(model) == {"name": "unet", "widths": [4, 6], "residual": True}
    with pytest.raises(InputError, match="widths"):
        DENOISERS.make("unet", widths=(4, 0))
