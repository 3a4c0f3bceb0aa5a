"""PD-net: the published size, the laws of a scanner's units, and a loss that falls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.recon import create
from deqlab.training.config import TrainingConfig
from deqlab.training.trainer import train

NAMES = ("pdnet", "unet")
SMALL = {"pdnet": {"iterations": 2, "width": 8}, "unet": {}}


def weighted(name: str) -> nn.Module:
    """A small model whose weights are none of those it starts from."""
    model = create(name, **SMALL[name])
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def test_the_default_has_the_published_size() -> None:
    """0.32 M parameters: Cheng et al. and the text of Adler and Oektem's network at this width."""
    assert sum(p.numel() for p in create("pdnet").parameters()) == 318_280


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "coils"), [((6, 7), 2), ((20, 34), 1), ((13, 9), 3)])
def test_units_of_kspace_turn_and_scale_the_image(measure, name, size, coils) -> None:
    data, model = measure(2, coils, size), weighted(name)
    found, turn = model(data.kspace, data.A), 3e-6 * torch.exp(torch.tensor(0.7j))
    assert found.shape == (2, *size)
    torch.testing.assert_close(model(turn * data.kspace, data.A), turn * found)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_measured_gives_nothing(measure, name: str) -> None:
    data = measure(1, 2)
    assert torch.isfinite(weighted(name)(0 * data.kspace, data.A)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_coils_does_not_matter(measure, name: str) -> None:
    data, model = measure(1, 3), weighted(name)
    order = torch.tensor([2, 0, 1])
    turned = CartesianOperator(data.A.mask, data.A.coil_maps[:, order])
    torch.testing.assert_close(
        model(data.kspace[:, order], turned), model(data.kspace, data.A), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_takes_part(measure, name: str) -> None:
    data, model = measure(2, 2, (8, 9)), weighted(name)
    model(data.kspace, data.A).abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_kspace_off_the_grid_is_refused() -> None:
    A = NUFFTOperator(torch.rand(20, 2, dtype=torch.float64) - 0.5, (8, 8))
    with pytest.raises(InputError, match=r"PDNet: takes samples of a Cartesian grid.*NUFFT"):
        create("pdnet")(torch.randn(1, 1, 20, dtype=torch.complex64), A)


@pytest.mark.parametrize(("name", "rate"), [("pdnet", 2e-3), ("unet", 5e-3)], ids=("pdnet", "unet"))
def test_a_short_training_makes_the_loss_fall(tiny_data, name: str, rate: float) -> None:
    config = TrainingConfig(
        model={"name": name, **SMALL[name]},
        epochs=3,
        steps_per_epoch=40,
        batch_size=2,
        acceleration=(4,),
        noise=0.0,
        learning_rate=rate,
        device="cpu",
    )
    history = train(config, tiny_data["train"], progress=False).history
    assert [entry["phase"] for entry in history] == ["train"] * 3
    assert history[-1]["loss"] < 0.85 * history[0]["loss"]
    assert all(entry["skipped"] == 0 and entry["gradient"] > 0 for entry in history)


def test_checkpointing_changes_memory_and_not_the_weights(tiny_data) -> None:
    config = TrainingConfig(
        model={"name": "pdnet", **SMALL["pdnet"]}, epochs=1, steps_per_epoch=2, device="cpu"
    )
    again = replace(config, objective={"name": "supervised", "checkpointing": True})
    first, second = (train(c, tiny_data["train"], progress=False).model for c in (config, again))
    for one, other in zip(first.parameters(), second.parameters()):
        torch.testing.assert_close(one, other)
