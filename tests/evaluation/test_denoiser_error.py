"""What a denoiser does to the truth: by hand for one that is known, told its level as in the map,
and beside the noise that was put there.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from deqlab.data.dataset import SliceDataset
from deqlab.data.sample import Batch, collate
from deqlab.data.truth import KnownTruth
from deqlab.evaluation.denoiser_error import denoiser_error, noise_share
from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.signal.sampling.masks import mask_rules

SMALL = DnCNN.Options(depth=2, width=2)


@pytest.fixture(scope="module")
def batch(tiny_data) -> Batch:
    slices = SliceDataset(tiny_data["test"][:1], mask_rules(["random"], [4]), slices="all")
    return collate([slices[0], slices[1]])


class Told(nn.Module):
    """R(x, level) = x + level: what it was told can be read off."""

    def at(self, level: torch.Tensor):
        return lambda image: image + level

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


@pytest.mark.parametrize("name", ["de-grad", "de-prox", "de-admm", "de-grad-measured"])
def test_a_denoiser_that_shrinks_is_seen_in_every_model(name: str, batch: Batch, gain) -> None:
    model = create(name, denoiser=SMALL)
    model.denoiser = gain(0.75)
    torch.testing.assert_close(denoiser_error(model, batch), torch.full((2,), 0.25))


def test_the_denoiser_is_told_the_level_of_its_map(batch: Batch) -> None:
    model = create("de-grad-measured", denoiser=SMALL)
    model.denoiser = Told()
    t = batch.known("reference")
    level = model.fixed_point_map(batch.kspace, batch.operator).denoised(t) - t
    error = denoiser_error(model, batch)
    assert error is not None and (error > 0).all()
    norm = torch.linalg.vector_norm
    torch.testing.assert_close(error, norm(level, dim=(-2, -1)) / norm(t, dim=(-2, -1)))


def test_methods_without_a_denoiser_have_none(batch: Batch) -> None:
    for name in ("zero-filled", "cg-sense", "tv", "wavelet", "unet"):
        assert denoiser_error(create(name), batch) is None
    unknown = replace(batch, truth=KnownTruth())
    assert denoiser_error(create("de-grad", denoiser=SMALL), unknown) is None
    assert noise_share(unknown) is None


@pytest.mark.parametrize("coils", [1, 3])
def test_the_share_of_noise_is_the_one_that_was_put_there(coils: int) -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, coils, 64, 64, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    maps[..., :16] = 0  # in air, where nothing is seen
    if coils == 1:
        maps = None
    mask = torch.ones(64, dtype=torch.bool)
    A = CartesianOperator(mask, maps)
    kspace = 0.1 * torch.randn(1, coils, 64, 64, dtype=torch.complex64)
    noise = A.H(kspace)
    truth = KnownTruth(reference=torch.ones_like(noise))
    batch = Batch(kspace, A, torch.ones(1).double(), ["f"], [0], ["c"], (64, 64), truth)
    expected = torch.linalg.vector_norm(noise, dim=(-2, -1)) / 64
    torch.testing.assert_close(noise_share(batch), expected, rtol=0.1, atol=0)
