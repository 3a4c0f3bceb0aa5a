"""The told U-net starts as the identity, commutes with the scale of an image and of its noise, and
listens.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.networks import DENOISERS, ToldUNet
from deqlab.networks.protocol import Denoiser, ToldDenoiser


def trained(**chosen) -> ToldUNet:
    """A network with weights that are none of those it starts from."""
    model = ToldUNet(**{"widths": (4, 6), **chosen})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(16, 16), (11, 13), (1, 1)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int]) -> None:
    x = image(2, *size)
    assert torch.equal(ToldUNet(widths=(4, 6)).double()(x), x), "R starts as the identity"
    assert trained(fold=3)(x).shape == x.shape


def test_it_commutes_with_the_scale_of_image_and_noise() -> None:
    model, x = trained(level=0.03), image(2, 9, 12)
    level = torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(model(7.5 * x, 7.5 * level), 7.5 * model(x, level))
    torch.testing.assert_close(model(7.5 * x), 7.5 * model(x))
    peak = x.abs().amax((-2, -1), keepdim=True)
    torch.testing.assert_close(model.at(0.03 * peak)(x), model(x))


def test_it_is_as_strong_as_it_is_told_sample_by_sample() -> None:
    model, x = trained(), image(2, 9, 12)
    level = torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None, None]
    told, index = model.at(level), torch.tensor([1])
    assert (told(x) - model(x)).norm() > 1e-3 * x.norm()
    torch.testing.assert_close(told.select(index)(x[1:]), told(x)[1:])


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("told-unet", widths=(4, 6))
    assert isinstance(model, Denoiser) and isinstance(model, ToldDenoiser)
    card = {"widths": [4, 6], "fold": 2, "level": 0.02}
    assert DENOISERS.to_json(model) == {"name": "told-unet", **card}
    for wrong in ({"widths": ()}, {"fold": 0}, {"level": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("told-unet", **wrong)
