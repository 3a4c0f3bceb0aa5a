"""Judgement on one scan: PSNR by hand, the best of the weights, and a row that holds all of it."""

from __future__ import annotations

import pytest
import torch

from deqlab.data.sample import collate
from deqlab.evaluation.baselines import COARSE
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.denoiser_error import denoiser_error, noise_share
from deqlab.evaluation.judge import slices_of
from deqlab.evaluation.on_scan import best_weight, judged, psnr_inside
from deqlab.networks import DnCNN
from deqlab.recon import create


def test_psnr_inside_the_head_by_hand() -> None:
    reference = torch.zeros(8, 8, dtype=torch.complex64)
    reference[:4] = 1j
    reference[0, 0] = 2
    image = torch.randn(8, 8, dtype=torch.complex64)
    image[:4] = 1
    image[4:] *= 0.01  # air, which only the scale feels
    a, b = image.abs().double(), reference.abs().double()
    a = a * (a * b).sum() / (a * a).sum()
    error = ((a - b)[:4] ** 2).mean()
    assert psnr_inside(image, reference) == pytest.approx(float(10 * torch.log10(4 / error)))
    once = psnr_inside(image, reference)
    assert psnr_inside(3j * image, 1e-5 * reference) == pytest.approx(once)


def test_the_best_of_both_passes_is_found() -> None:
    tried: list[float] = []

    def score(weight: float) -> float:
        tried.append(weight)
        return -abs(weight - 5)

    assert best_weight(score, (1, 4, 16)) == (4, -1)
    assert sorted(tried) == [1, 2, 4, 8, 16]
    assert best_weight(lambda weight: weight, (1, 4, 16)) == (32, 32)


@torch.no_grad()
def test_a_row_has_every_baseline_at_its_best_and_what_the_denoiser_does(tiny_data) -> None:
    batch = collate([slices_of(tiny_data["test"][0], Conditions(slices=[0]), 4)[0]])
    model = create("de-grad", denoiser=DnCNN.Options(depth=2, width=2))
    row = judged(batch, {"ours": model, "zero": create("zero-filled")})
    error = "ours |R(t)-t|/|t|"
    assert list(row) == [*COARSE, "ours", "zero", error, "|noise|/|t|"]
    t = batch.known("reference")
    for name, coarse in COARSE.items():
        for weight in coarse:
            image = create(name, weight=weight)(batch.kspace, batch.operator)
            assert row[name] >= psnr_inside(image, t) - 1e-9
    assert row["ours"] == pytest.approx(psnr_inside(model(batch.kspace, batch.operator), t))
    assert row[error] == pytest.approx(float(denoiser_error(model, batch)))
    assert row["|noise|/|t|"] == pytest.approx(float(noise_share(batch)))
