"""The denoiser's promises: homogeneous, bounded where asked, free of batch mates, right at any
size.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium.measure import spectral_norm
from deqlab.networks import DnCNN
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.convolution_norm import convolution_norm


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def network(depth: int = 3, width: int = 4, **options) -> DnCNN:
    """A DnCNN in double precision with random weights and biases, projected where it has a
    bound.
    """
    model = DnCNN(depth, width, **options).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.project_()
    return model.requires_grad_(False)


@pytest.mark.parametrize("norm", [None, "group"])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_starts_as_the_identity(norm: str | None, unshuffle: int) -> None:
    x = image(2, 6, 5).to(torch.complex64)
    assert torch.equal(DnCNN(5, 8, norm, unshuffle=unshuffle)(x), x)
    assert torch.equal(
        DnCNN(5, 8, norm, unshuffle=unshuffle, residual=False)(x), torch.zeros_like(x)
    )


@pytest.mark.parametrize("depth, width", [(2, 3), (5, 4)])
def test_is_what_the_paper_draws(depth: int, width: int) -> None:
    """Convolution, ReLU, ..., convolution, added to the input: by functional calls on the same
    weights.
    """
    model = network(depth, width)
    x = image(2, 6, 5)
    channels = torch.stack([x.real, x.imag], 1)
    weights = [c.weight for c in model.convolutions()]
    assert len(weights) == depth and weights[0].shape[1] == weights[-1].shape[0] == 2
    for weight in weights[:-1]:
        channels = functional.relu(functional.conv2d(channels, weight, padding=1))
    channels = functional.conv2d(channels, weights[-1], padding=1)
    change = torch.complex(channels[:, 0], channels[:, 1])
    assert_close(model(x), x + change)
    assert_close(model.residual_part(x), change)
    model.residual = False
    assert_close(model(x), change)
    assert len(list(model.parameters())) == len(list(model.state_dict())) == depth


@pytest.mark.parametrize("options", [{}, {"unshuffle": 2}, {"lipschitz": 0.9}, {"residual": False}])
@pytest.mark.parametrize("factor", [0.0, 1e-6, 3.0, 1e4])
def test_commutes_with_the_intensity_scale(options: dict, factor: float) -> None:
    model, x = network(**options), image(2, 7, 6)
    assert_close(model(factor * x), factor * model(x), rtol=1e-9, atol=1e-12 * max(factor, 1e-6))


@pytest.mark.parametrize("options", [{"bias": True}, {"norm": "group"}])
def test_biases_and_group_norm_do_not(options: dict) -> None:
    model, x = network(**options), image(2, 7, 6)
    assert float((model(3 * x) - 3 * model(x)).norm() / model(x).norm()) > 0.01


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "options", [{}, {"norm": "group"}, {"unshuffle": 2}, {"norm": "group", "width": 12}]
)
def test_a_sample_does_not_depend_on_its_batch_mates(options: dict, batch: int) -> None:
    """In training mode too: batch normalisation would fail here."""
    model = network(**options).train()
    x = image(batch, 6, 5) * torch.logspace(-2, 2, batch)[:, None, None]
    apart = torch.cat([model(x[i : i + 1]) for i in range(batch)])
    assert_close(model(x), apart, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("size", [(6, 6), (7, 6), (6, 8), (7, 5), (1, 1)])
def test_unshuffle_pads_and_crops(size: tuple[int, int], factor: int) -> None:
    """Whatever the size, the result is that of the image with zeros below and to the right."""
    model, x = network(unshuffle=factor), image(2, *size)
    padded = torch.zeros(2, *(-(-n // factor) * factor for n in size), dtype=x.dtype)
    padded[:, : size[0], : size[1]] = x
    assert model(x).shape == x.shape
    assert_close(model(x), model(padded)[:, : size[0], : size[1]])


def test_unshuffle_moves_space_to_channels_and_back() -> None:
    model, x = network(unshuffle=2), image(1, 6, 4)
    real = torch.stack([x.real, x.imag], 1)
    # Channel order of pixel_unshuffle: colour, row within the block, column within the block.
    blocks = torch.stack(
        [real[:, c, i::2, j::2] for c in range(2) for i in range(2) for j in range(2)], 1
    )
    assert_close(
        model.residual_part(x), to_complex(functional.pixel_shuffle(model.layers(blocks), 2))
    )


def expected_share(model: DnCNN) -> float:
    return model.lipschitz ** (1 / len(model.convolutions()))


@pytest.mark.parametrize("lipschitz", [0.5, 0.95, 2.0])
@pytest.mark.parametrize("depth", [2, 5])
def test_every_layer_keeps_its_share_of_the_bound(depth: int, lipschitz: float) -> None:
    model = network(depth, lipschitz=lipschitz)
    for convolution in model.convolutions():
        assert convolution_norm(convolution.weight) == pytest.approx(
            expected_share(model), rel=1e-6
        )


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_the_bound_holds_while_training(unshuffle: int) -> None:
    """Steps that do all they can to expand, from the start on: the constant stays below the
    bound.
    """
    model = DnCNN(3, 6, lipschitz=0.7, unshuffle=unshuffle, residual=False).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    x, z, target = image(2, 8, 7), image(2, 8, 7), image(2, 8, 7)
    for _ in range(15):
        optimizer.zero_grad()
        (-(target.conj() * (model(x) - model(z))).real.sum()).backward()
        optimizer.step()
        model.project_()
        norms = [convolution_norm(c.weight) for c in model.convolutions()]
        assert max(norms) <= expected_share(model) * (1 + 1e-6)
        assert ((model(x) - model(z)).norm() / (x - z).norm()).item() <= 0.7
        assert float(spectral_norm(model, x, iterations=10).max()) <= 0.7
    # Not for want of trying.
    assert float(spectral_norm(model, x, iterations=10).max()) > 0.1
    optimizer.step()
    assert convolution_norm(model.convolutions()[-1].weight) > expected_share(model)


def test_projection_is_repeatable_and_leaves_a_small_last_layer_alone() -> None:
    """A resumed run projects as an uninterrupted one: nothing is remembered between calls."""
    model = network(lipschitz=0.8)
    with torch.no_grad():
        model.convolutions()[-1].weight.mul_(0.1)
        model.convolutions()[1].weight.mul_(3.0)
    fresh = DnCNN(3, 4, lipschitz=0.8).double()
    fresh.load_state_dict(model.state_dict())
    before = model.convolutions()[-1].weight.clone()
    for other in (model, fresh):
        other.project_()
    assert torch.equal(model.convolutions()[-1].weight, before)
    for mine, theirs in zip(model.parameters(), fresh.parameters()):
        assert torch.equal(mine, theirs)


def test_a_deep_bounded_network_learns_to_denoise() -> None:
    """Of layers that are only scaled back all features are gone after twenty steps."""
    torch.manual_seed(0)
    model = DnCNN(12, 8, lipschitz=1.0)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    errors = []
    for _ in range(60):
        noise = 0.1 * torch.randn(2, 24, 24, dtype=torch.complex64)
        error = (model(1 + noise) - 1).abs().square().mean().sqrt() / 0.1
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        model.after_step()
        errors.append(float(error.detach()))
    assert errors[0] == pytest.approx(1, abs=0.1) and min(errors[-5:]) < 0.93


def test_without_a_bound_projection_does_nothing() -> None:
    model = network()
    before = [p.clone() for p in model.parameters()]
    model.project_()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_a_forward_pass_changes_no_weight() -> None:
    """A map must not change while it is being solved."""
    model = network(lipschitz=0.8).train()
    before = [p.clone() for p in model.parameters()]
    first = model(x := image(1, 5, 6))
    assert torch.equal(model(x), first)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_low_precision_inside_keeps_the_images_precision() -> None:
    model, x = DnCNN(3, 8), image(1, 8, 8).to(torch.complex64)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    full = model(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        low = model(x).detach()
    assert low.dtype == torch.complex64
    assert 1e-6 < float((low - full).norm() / full.norm()) < 0.05


@pytest.mark.parametrize(
    "options, words",
    [
        ({"depth": 1}, "depth: 1"),
        ({"width": 0}, "width: 0"),
        ({"unshuffle": 0}, "unshuffle: 0"),
        ({"norm": "batch"}, "norm: 'batch'"),
        ({"norm": "group", "lipschitz": 0.9}, "lipschitz"),
        ({"lipschitz": 0.0}, "lipschitz: 0.0"),
        ({"lipschitz": -1.0}, "lipschitz: -1.0"),
        ({"lipschitz": float("nan")}, "lipschitz: nan"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        DnCNN(**({"depth": 3, "width": 4} | options))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 4, 6), (3, 5, 7)])
def test_the_border_loses_nothing(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(*shape, dtype=dtype)
    for given in (x, x.conj(), x.mT, x[..., ::1].expand_as(x)):
        channels = to_channels(given)
        assert channels.dtype == dtype.to_real() and channels.shape == (
            given.shape[0],
            2,
            *given.shape[1:],
        )
        assert torch.equal(channels[:, 0], given.real) and torch.equal(channels[:, 1], given.imag)
        assert torch.equal(to_complex(channels), given.resolve_conj())
    # No sample is moved: the complex image is the channels' memory.
    assert to_channels(x).data_ptr() == x.data_ptr()
    assert to_channels(x).is_contiguous(memory_format=torch.channels_last)


def test_the_border_is_differentiable() -> None:
    x = image(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: to_complex(to_channels(z).flip(1)), x)


@torch.no_grad()
def test_features_reach_the_last_layer_of_a_deep_bounded_network() -> None:
    """Else no gradient comes back to the layers before it, and nothing is ever learned."""
    torch.manual_seed(0)
    model = DnCNN(17, 16, lipschitz=1.0)
    image = torch.randn(2, 16, 16, dtype=torch.complex64)
    channels = torch.view_as_real(image).movedim(-1, 1)
    features = model.layers[:-1](channels)
    assert features.norm() > 0.3 * channels.norm()
    assert (features.abs().amax((0, 2, 3)) > 0).all()
    assert torch.equal(model(image), image)
