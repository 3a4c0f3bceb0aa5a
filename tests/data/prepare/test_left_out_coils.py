"""A noisy coil is named and left out where coils are whitened; one of another gain is not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.core.errors import DeqlabWarning
from deqlab.data import SliceDataset, write_noncartesian, write_volume
from deqlab.data.formats.samples import root_sum_of_squares
from deqlab.data.prepare.mixed_coils import preparation_told
from deqlab.data.simulated import SimulationConfig, simulate_volume
from deqlab.operators import NDFTOperator
from deqlab.recon import create
from deqlab.signal.coils.air_noise import NoWhitening, WhiteningByAir
from deqlab.signal.coils.coil_noise import coil_noise, grid_radius
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.sampling.noise_level import noise_level
from deqlab.signal.sampling.trajectories import Radial

SIDE, COILS, LOUD = 64, 6, 2
RULE = RandomMask(3, 0.15)
CLEAN = simulate_volume(SimulationConfig(matrix=SIDE, coils=COILS, slices=3, noise=0.0), "test", 0)
OTHERS = [coil for coil in range(COILS) if coil != LOUD]


def noisy(factor: float, gain: float = 1, signal: float = 1) -> np.ndarray:
    """complex64 (slices, coil, rows, columns), with the noise of one coil times `factor`."""
    rng = np.random.default_rng(0)
    level = 0.004 * root_sum_of_squares(CLEAN, (SIDE, SIDE)).max()
    strength = np.where(np.arange(COILS) == LOUD, factor, 1)[:, None, None]
    samples = signal * CLEAN + strength * level * (rng.standard_normal((*CLEAN.shape, 2)) @ [1, 1j])
    samples[:, LOUD] *= gain
    return samples.astype(np.complex64)


def stored(folder: Path, samples: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    return write_volume(folder / "scan.h5", samples, "AXT2", (SIDE, SIDE))


def told(path: Path, **given) -> tuple[list[str], SliceDataset]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeqlabWarning)
        dataset = SliceDataset(path, **given)
        _ = [dataset[i] for i in range(len(dataset))]
    return [str(one.message) for one in caught if "the noise of coil" in str(one.message)], dataset


@pytest.mark.parametrize("factor", [40, 75, 1000])
def test_a_noisy_coil_is_named_and_zero(tmp_path, factor: float) -> None:
    said, dataset = told(stored(tmp_path, noisy(factor)), mask=RULE, whiten=WhiteningByAir())
    assert len(said) == 3 and all(f"noise of coil {LOUD} is at least" in line for line in said)
    sample = dataset[1]
    assert not sample.kspace[LOUD].any() and sample.kspace[OTHERS].any((1, 2)).all()
    assert not sample.operator.coil_maps[0, LOUD].any()
    words = preparation_told(dataset.volumes[0], [])
    assert words.startswith(f"coil {LOUD} left out (its noise is at least")


@pytest.mark.parametrize(
    "samples",
    [noisy(1), noisy(1, gain=75), noisy(1, gain=1 / 75), noisy(4), noisy(75, signal=0), CLEAN],
    ids=["alike", "loud", "quiet", "four times", "noise alone", "no noise"],
)
def test_honest_coils_pass_and_stay(tmp_path, samples: np.ndarray) -> None:
    said, dataset = told(stored(tmp_path, samples), mask=RULE, whiten=WhiteningByAir())
    assert said == [] and "left out" not in preparation_told(dataset.volumes[0], [])
    assert dataset[1].kspace.any(-1).any(-1).all()


def test_who_asks_for_no_whitening_has_all_coils(tmp_path) -> None:
    said, dataset = told(stored(tmp_path, noisy(75)), mask=RULE, whiten=NoWhitening())
    assert len(said) == 3 and dataset[1].kspace[LOUD].any()


@pytest.mark.filterwarnings("ignore::deqlab.core.errors.DeqlabWarning")
@pytest.mark.parametrize("model", ["cg-sense", "tv"])
def test_the_image_is_that_without_the_coil(tmp_path, model: str) -> None:
    def level(name: str, samples: np.ndarray, whiten) -> float:
        source = stored(tmp_path / name, samples)
        request = Request(source, tmp_path / "out.h5", RULE, whiten=whiten)
        images = reconstruct_file(request, create(model)).images
        target = root_sum_of_squares(CLEAN[:, OTHERS], (SIDE, SIDE))
        scale = (images * target).sum() / (images**2).sum()
        return float(10 * np.log10(target.max() ** 2 / ((scale * images - target) ** 2).mean()))

    without = level("without", noisy(1)[:, OTHERS], WhiteningByAir())
    assert level("with", noisy(75), WhiteningByAir()) > without - 0.5
    assert level("with", noisy(75), NoWhitening()) < without - 5


def test_off_the_grid_the_coil_is_left_out_as_well(tmp_path) -> None:
    points = Radial(60).sample((SIDE, SIDE))
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, SIDE)], indexing="ij")
    image = ((y / 0.8) ** 2 + (x / 0.6) ** 2 < 1).to(torch.complex64)
    maps = simulate_coil_maps(COILS, (SIDE, SIDE), seed=1)
    clean = NDFTOperator(points, (SIDE, SIDE), maps)(image[None]).numpy()
    rng = np.random.default_rng(0)
    noise = 0.004 * (rng.standard_normal((*clean.shape, 2)) @ [1, 1j])
    noise[:, LOUD] *= 75
    path = write_noncartesian(tmp_path / "r.h5", clean + noise, points.numpy(), (SIDE, SIDE))
    said, dataset = told(path, whiten=WhiteningByAir())
    assert len(said) == 1 and not dataset[0].kspace[LOUD].any()
    assert torch.isfinite(dataset[0].kspace).all() and dataset[0].kspace.any()
    assert f"coil {LOUD} left out" in preparation_told(dataset.volumes[0], [])


def test_two_coils_accuse_no_one() -> None:
    radius = grid_radius((SIDE, SIDE)).flatten()
    samples = torch.randn(3, SIDE**2, dtype=torch.complex64) + 100 * torch.exp(-20 * radius)
    samples[0] += 200 * torch.randn(SIDE**2, dtype=torch.complex64)
    assert coil_noise(samples, radius).noisy == [0]
    assert coil_noise(samples[:2], radius).noisy == []


def test_a_coil_of_zeros_says_nothing_of_the_noise() -> None:
    noise = torch.randn(2, 4, SIDE, SIDE, dtype=torch.complex64)
    mask = torch.ones(SIDE, dtype=torch.bool)
    beside = torch.cat([noise, torch.zeros_like(noise)], 1)
    torch.testing.assert_close(noise_level(beside, mask), noise_level(noise, mask))
