"""The multi-level wavelet CNN keeps its promises for any size: the identity at first, scale, every
weight in use; and it serves inside an equilibrium.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.core.options import updated
from deqlab.losses import L1Loss
from deqlab.networks import DENOISERS, MWCNN
from deqlab.networks.mwcnn import MultiWavelet
from deqlab.networks.protocol import Denoiser
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.plug_and_play import PlugAndPlay


def trained(model: nn.Module) -> nn.Module:
    """The model with weights that are none of those it starts from."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(16, 16), (20, 34), (95, 127), (3, 5), (1, 1)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int]) -> None:
    model, x = MWCNN(widths=(4, 6, 8)).double(), image(2, *size)
    assert torch.equal(model(x), x), "R starts as the identity"
    found = trained(model)(x)
    assert found.shape == x.shape and (found - x).norm() > 1e-3 * x.norm()


def test_it_commutes_with_the_scale_of_an_image() -> None:
    model, x = trained(MWCNN(widths=(4, 6))), image(2, 9, 12)
    torch.testing.assert_close(model(7.5 * x), 7.5 * model(x))


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(MWCNN(widths=(4, 6))), image(3, 8, 10)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_the_residual_is_an_option() -> None:
    model, x = trained(MWCNN(widths=(4,))), image(1, 6, 6)
    other = MWCNN(widths=(4,), residual=False).double()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(x), x + other(x))


def test_its_coarsest_scale_sees_far() -> None:
    """A pixel changes another one 40 pixels away, where the finest scale alone sees 20."""
    x = image(1, 64, 64)
    for widths, sees in (((4, 4, 4), True), ((4,), False)):
        model, seen = trained(MWCNN(widths=widths, layers=3)), x.clone().requires_grad_()
        model(seen)[0, 10, 10].abs().backward()
        assert bool(seen.grad[0, 50, 10].abs() > 0) == sees


@pytest.mark.parametrize("widths, layers", [((4, 6, 8), 2), ((4,), 2), ((4, 6), 3)])
def test_every_weight_takes_part(widths: tuple[int, ...], layers: int) -> None:
    model = trained(MWCNN(widths=widths, layers=layers))
    model(image(1, 16, 16)).abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_its_core_takes_any_number_of_channels() -> None:
    """As a network with buffers has them; N starts as 0 and N(a h) = a N(h)."""
    core, h = MultiWavelet(5, 3, (4, 6)).double(), torch.randn(2, 5, 7, 10).double()
    assert core(h).shape == (2, 3, 7, 10) and not core(h).any()
    trained(core)
    torch.testing.assert_close(core(3 * h), 3 * core(h))


def test_the_first_steps_of_training_help_and_change_every_weight() -> None:
    model = MWCNN(widths=(8, 12))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    clean = torch.ones(2, 16, 16, dtype=torch.complex64)
    noisy = clean + 0.3 * torch.randn_like(clean)
    optimiser, losses = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(20):
        losses.append(L1Loss()(model(noisy), clean))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    pairs = zip(before, model.parameters())
    assert all(not torch.equal(old, new) for old, new in pairs)


def test_the_published_size() -> None:
    """Three scales of 160, 256 and 256 channels, 24 convolutions: 16 M parameters."""
    with torch.device("meta"):
        model = MWCNN(updated(MWCNN.Options(), {"size": "published"}))
    assert sum(parameter.numel() for parameter in model.parameters()) == 16_151_040


def test_it_serves_in_an_equilibrium_and_in_plug_and_play(measure) -> None:
    data = measure(2, dtype=torch.complex64)
    model = DEGrad(denoiser=MWCNN.Options(widths=(4, 6)), max_evaluations=3)
    assert torch.isfinite(model(data.kspace, data.A).abs()).all()
    plain = PlugAndPlay(model.denoiser, max_evaluations=3)
    assert torch.isfinite(plain(data.kspace, data.A).abs()).all()


def test_half_precision_inside_leaves_the_image_whole() -> None:
    model, x = MWCNN(widths=(4,)), image(1, 9, 8).to(torch.complex64)
    nn.init.normal_(list(model.network.up[0].parameters())[-1], std=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(x)
    assert found.dtype == torch.complex64
    assert (found - model(x)).norm() < 0.02 * x.norm()


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("mwcnn", widths=(4, 6))
    assert isinstance(model, Denoiser) and model.lipschitz is None and model.residual
    card = {"name": "mwcnn", "widths": [4, 6], "layers": 2, "residual": True}
    assert DENOISERS.to_json(model) == card
    for wrong in ({"widths": ()}, {"widths": (4, 0)}, {"layers": 1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("mwcnn", **wrong)
