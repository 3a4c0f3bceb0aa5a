"""Adaptive maps: low-resolution maps for a single pixel, dominant eigenvectors for a neighbourhood,
and less noise.
"""

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.coils.coil_maps import (
    LowResolution,
    estimate_coil_maps,
    low_resolution_images,
    rss,
    simulate_coil_maps,
)
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.transforms.fourier import fft2c


def measured(
    shape: tuple[int, int] = (40, 37), noise: float = 0.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    maps = simulate_coil_maps(4, shape, seed).to(torch.complex128)
    y, x = (torch.linspace(-1, 1, length, dtype=torch.float64) for length in shape)
    image = torch.sigmoid((0.8 - (y[:, None] ** 2 + x**2).sqrt()) * 30) * torch.exp(1j * x)
    generator = torch.Generator().manual_seed(seed)
    kspace = fft2c(maps * image)
    return kspace + noise * torch.randn(kspace.shape, generator=generator, dtype=kspace.dtype), maps


LINES = slice(12, 25)


@pytest.mark.parametrize("neighbourhood", [1, 3, 7])
def test_maps_have_unit_norm_everywhere(neighbourhood):
    kspace, _ = measured()
    maps = estimate_coil_maps(kspace, LINES, Walsh(neighbourhood))
    torch.testing.assert_close(rss(maps), torch.ones(40, 37, dtype=torch.float64))


def test_a_single_pixel_gives_the_low_resolution_maps():
    kspace, _ = measured()
    torch.testing.assert_close(
        estimate_coil_maps(kspace, LINES, Walsh(1)),
        estimate_coil_maps(kspace, LINES, LowResolution()),
    )


@pytest.mark.parametrize("neighbourhood", [3, 5])
def test_maps_are_dominant_eigenvectors_of_the_local_covariance(neighbourhood):
    kspace, _ = measured(noise=1e-2)
    images, half = low_resolution_images(kspace, LINES), neighbourhood // 2
    maps = estimate_coil_maps(kspace, LINES, Walsh(neighbourhood))
    for y in range(half, 40 - half, 4):
        for x in range(half, 37 - half, 3):
            near = images[:, y - half : y + half + 1, x - half : x + half + 1].flatten(1)
            values, vectors = torch.linalg.eigh(near @ near.mH)
            # Where two directions are about as strong, a few products choose neither.
            if values[-1] > 3 * values[-2]:
                assert (vectors[:, -1].conj() @ maps[:, y, x]).abs() > 0.999
            inner = images[:, y, x].conj() @ maps[:, y, x]
            assert abs(float(inner.imag)) < 1e-9 and float(inner.real) >= 0


def test_neighbours_average_noise_away():
    kspace, true = measured((64, 64), noise=0.3)
    inside = torch.linspace(-1, 1, 64)[:, None] ** 2 + torch.linspace(-1, 1, 64) ** 2 < 0.4
    lines = slice(24, 41)
    error = {
        side: 1
        - float(
            (estimate_coil_maps(kspace, lines, Walsh(side)).conj() * true)
            .sum(0)
            .abs()[inside]
            .mean()
        )
        for side in (1, 5)
    }
    assert error[5] < 0.7 * error[1] < 0.1


def test_neither_scale_nor_batch_mates_nor_precision_matter():
    kspace = torch.stack([measured(seed=seed)[0] for seed in (1, 2)])
    maps = estimate_coil_maps(kspace, LINES, Walsh())
    for factor in (1e-20, 1e20):
        torch.testing.assert_close(
            estimate_coil_maps(factor * kspace[1], LINES, Walsh()), maps[1], atol=1e-6, rtol=0
        )
    single = estimate_coil_maps(kspace.to(torch.complex64), LINES, Walsh())
    seen = rss(low_resolution_images(kspace, LINES)) > 0.05
    assert (
        single.dtype == torch.complex64 and float((single - maps).abs().amax(1)[seen].max()) < 1e-3
    )
    empty = estimate_coil_maps(torch.zeros(4, 8, 8, dtype=torch.complex64), slice(3, 6), Walsh(21))
    torch.testing.assert_close(rss(empty), torch.ones(8, 8))


@pytest.mark.parametrize("neighbourhood", [0, 4, -3])
def test_a_neighbourhood_that_cannot_be_is_named(neighbourhood):
    with pytest.raises(InputError, match="neighbourhood"):
        Walsh(neighbourhood)
