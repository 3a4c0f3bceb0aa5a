"""The noise of a measurement is found from its outermost samples, whatever the pattern."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.grid_masks import RandomPoints
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask
from deqlab.signal.sampling.noise_level import FEWEST, noise_level, noise_level_off_grid
from deqlab.signal.sampling.trajectories import Radial
from deqlab.signal.transforms.fourier import fft2c

SIZE, COILS = (128, 96), 16


def signal() -> Tensor:
    """k-space of overlapping ellipses with a phase each, complex (1, coil, y, x): an image of peak
    1 at a resolution of a pixel and a half, as scanners' filters leave it.
    """
    generator = torch.Generator().manual_seed(3)
    y, x = (torch.linspace(-1, 1, length) for length in SIZE)
    image = torch.zeros(SIZE, dtype=torch.complex64)
    for _ in range(12):
        top, left, height, width, value, turn = torch.rand(6, generator=generator)
        part = ((y[:, None] + 0.8 - 1.6 * top) / (0.05 + 0.4 * height)) ** 2
        part = part + ((x + 0.8 - 1.6 * left) / (0.05 + 0.4 * width)) ** 2
        image = torch.where(part < 1, torch.polar(value, 6 * turn), image)
    kspace = fft2c(simulate_coil_maps(COILS, SIZE, 1) * image / image.abs().max())
    return (kspace * torch.exp(-2 * (y[:, None] ** 2 + x**2)))[None]


def complex_noise(*shape: int) -> Tensor:
    return torch.complex(torch.randn(shape), torch.randn(shape))


def masks() -> dict[str, Tensor]:
    plane = RandomPoints(4).sample(SIZE, 5)
    return {
        "random lines": RandomMask(4, 0.08).sample(SIZE[1], 5)[None],
        "equispaced lines": EquispacedMask(8, 0.04).sample(SIZE[1], 5)[None],
        "plane": plane,
        "all": torch.ones(1, SIZE[1], dtype=torch.bool),
    }


@pytest.mark.parametrize("name", masks())
@pytest.mark.parametrize("level", [0.01, 0.04])
def test_known_noise_is_found_within_five_per_cent(name: str, level: float) -> None:
    mask = masks()[name][None, None]
    kspace = (signal() + level * complex_noise(1, COILS, *SIZE)) * mask
    assert float(noise_level(kspace, mask)) == pytest.approx(level, rel=0.05)


def test_each_sample_has_its_own_level_and_its_own_mask() -> None:
    levels = torch.tensor([0.01, 0.1, 3.0])
    mask = torch.stack([RandomMask(3, 0.08).sample(SIZE[1], seed) for seed in range(3)])
    mask = mask[:, None, None]
    kspace = levels[:, None, None, None] * complex_noise(3, 4, *SIZE) * mask
    found = noise_level(kspace, mask)
    torch.testing.assert_close(found, levels, rtol=0.15, atol=0)
    for member in range(3):
        one = slice(member, member + 1)
        torch.testing.assert_close(noise_level(kspace[one], mask[one]), found[one])


def test_zeros_that_were_filled_in_are_no_noise() -> None:
    """Interpolated files have corners without samples, whatever their mask says."""
    kspace = 0.02 * complex_noise(1, 4, *SIZE)
    kspace[..., :20, :] = 0
    kspace[..., -20:, :] = 0
    everywhere = torch.ones(1, 1, 1, SIZE[1], dtype=torch.bool)
    assert float(noise_level(kspace, everywhere)) == pytest.approx(0.02, rel=0.05)


def test_nothing_measured_has_no_noise_and_few_samples_are_all_taken() -> None:
    none = torch.zeros(1, 2, 8, 8, dtype=torch.complex64)
    assert noise_level(none, torch.ones(1, 1, 8, 8, dtype=torch.bool)) == 0
    assert noise_level(none, torch.zeros(1, 1, 8, 8, dtype=torch.bool)) == 0
    few = complex_noise(1, 1, 4, 5)
    assert few.numel() < FEWEST
    ordered = few.abs().flatten().sort().values
    found = noise_level(few, torch.ones(1, 1, 1, 5, dtype=torch.bool))
    assert ordered[9] < found * 1.1774 < ordered[10]


@pytest.mark.parametrize("coils", [1, 4])
def test_off_the_grid_it_is_the_noise_before_the_weights(coils: int) -> None:
    torch.manual_seed(0)
    points = Radial(40).sample((64, 64))
    weights = torch.linalg.vector_norm(points, dim=1)[None].clamp_min(1e-3)
    noise = 0.3 * torch.randn(2, coils, len(points), 2, dtype=torch.float64)
    samples = torch.view_as_complex(noise) * torch.tensor([1.0, 10.0])[:, None, None]
    samples = samples * weights.sqrt()
    found = noise_level_off_grid(samples, weights, points[None])
    torch.testing.assert_close(found, torch.tensor([0.3, 3.0]).double(), rtol=0.15, atol=0)
    silent = noise_level_off_grid(torch.zeros_like(samples), weights, points[None])
    assert not silent.any()
