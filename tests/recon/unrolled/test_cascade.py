"""Cascade-net: the published size, and measured samples that stay what they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.networks import DnCNN
from deqlab.recon import create
from deqlab.recon.steps.data_consistency import Soft
from deqlab.recon.steps.units import unit
from deqlab.recon.unrolled.cascade import CascadeNet

SMALL = DnCNN.Options(depth=2, width=4, bias=True)


def network(**chosen: Any) -> CascadeNet:
    model = CascadeNet(**{"iterations": 3, "denoiser": SMALL, **chosen})
    for parameter in model.networks.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.double()


def test_the_default_has_the_published_size() -> None:
    """Five networks of five convolutions of 48 channels, and one that ends each."""
    assert sum(p.numel() for p in create("cascade-net").parameters()) == 424_570


def test_measured_samples_of_one_coil_are_those_of_the_image(measure) -> None:
    """And the others are not: the networks do something."""
    data, model = measure(2, 1, (10, 9)), network()
    image = model(data.kspace, data.A)
    torch.testing.assert_close(data.A(image), data.kspace)
    assert not torch.allclose(image, data.A.H(data.kspace), atol=1e-2)


def test_a_step_hands_measured_samples_on_bit_by_bit(measure, monkeypatch) -> None:
    """Of every coil."""
    data, model, seen = measure(2, 3, (10, 9)), network(), []
    combine = "deqlab.recon.steps.data_consistency.WholeKspace.image"
    monkeypatch.setattr(combine, lambda self, kspace: seen.append(kspace) or kspace[:, 0])
    model(data.kspace, data.A)
    mask = data.A.mask.expand(data.kspace.shape)
    # In the unit that all steps work in.
    measured = data.kspace / unit(data.A.H(data.kspace))[..., None]
    assert len(seen) == 3 and all(torch.equal(k[mask], measured[mask]) for k in seen)


def test_with_soft_consistency_they_are_between_both(measure) -> None:
    data = measure(1, 1, (10, 9))
    far = []
    for weight in (1e-3, 1.0, 1e3):
        torch.manual_seed(3)
        model = network(consistency={"name": "soft", "weight": weight})
        assert isinstance(model.consistency, Soft)
        far.append((data.A(model(data.kspace, data.A)) - data.kspace).norm().item())
    assert far[0] > 1.5 * far[1] > 30 * far[2]


def test_networks_that_change_nothing_leave_the_zero_filled_image_of_one_coil(measure) -> None:
    """Fresh ones are the identity: training starts from there."""
    data = measure(2, 1, (10, 9))
    model = CascadeNet(iterations=2, denoiser=SMALL).double()
    torch.testing.assert_close(model(data.kspace, data.A), data.A.H(data.kspace))


def test_promises_of_networks_are_kept() -> None:
    bounded = DnCNN.Options(depth=2, width=4, lipschitz=0.5)
    model = CascadeNet(iterations=2, denoiser=bounded)
    for part in model.networks:
        torch.nn.init.normal_(part.layers[0].weight, std=3.0)
    model.after_step()
    assert max(part.layers[0].weight.abs().max() for part in model.networks) < 1


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"iterations": 0}, "iterations: 0 given, a whole number >= 1 needed"),
        (
            {"consistency": "hrad"},
            "consistency: unknown data consistency 'hrad', did you mean hard",
        ),
        ({"blocks": 5}, "cascade-net: unknown option 'blocks'"),
    ],
)
def test_bad_options_are_named(chosen: dict, told: str) -> None:
    with pytest.raises(InputError) as error:
        create("cascade-net", **chosen)
    assert told in str(error.value)
