"""One slice: strips of rows are exact, noise has the level asked for, crops are centred."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, open_volume
from deqlab.data.prepare.on_grid import calibration, combine, crop_magnitude, prepare
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.transforms.fourier import fft2c, ifft2c


@pytest.mark.parametrize(
    "rows, columns, recon", [(32, 20, (16, 18)), (33, 21, (15, 17)), (30, 20, (30, 20))]
)
def test_a_strip_of_rows_is_an_exact_smaller_problem(raw_file, rows, columns, recon):
    """Its k-space is A of the strip of the whole slice's coil images; its target and maps are cut
    alike.
    """
    volume = open_volume(raw_file(rows=rows, columns=columns, recon=recon).path)
    mask = RandomMask(2, 0.3).sample(columns, 0)
    whole = prepare(volume, 0, mask)
    torch.manual_seed(0)
    for part in (slice(0, 5), slice(4, 11), slice(recon[0] - 4, recon[0])):
        strip = prepare(volume, 0, mask, rows=part)
        masked_images = ifft2c(whole.kspace)[:, part]
        torch.testing.assert_close(strip.kspace, fft2c(masked_images), atol=2e-6, rtol=0)
        torch.testing.assert_close(strip.operator.coil_maps, whole.operator.coil_maps[..., part, :])
        torch.testing.assert_close(strip.target, whole.target[part])
        torch.testing.assert_close(strip.reference, whole.reference[part])
        assert (strip.scale, strip.maximum) == (whole.scale, whole.maximum)
        assert strip.crop == (part.stop - part.start, recon[1])
        # The measurement of any image is the same in the strip's operator and in the whole one's.
        image = torch.zeros(1, recon[0], columns, dtype=torch.complex64)
        image[:, part] = torch.randn(1, part.stop - part.start, columns, dtype=torch.complex64)
        lhs, rhs = strip.operator.normal(image[:, part]), whole.operator.normal(image)[:, part]
        torch.testing.assert_close(lhs, rhs, atol=1e-5, rtol=1e-4)


def test_strips_never_exceed_max_pixels_and_reach_every_row(raw_file):
    raw = raw_file(slices=1)
    dataset = SliceDataset(raw.path, RandomMask(2, 0.3), max_pixels=110)
    whole = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(120):
        strip = dataset.sample(0, rng)
        assert strip.kspace.shape[-2:] == (5, 20)
        shown = strip.target * strip.scale
        starts |= {
            s
            for s in range(12)
            if torch.allclose(shown, whole.target[s : s + 5] * whole.scale, rtol=1e-4, atol=0)
        }
    assert starts == set(range(12))


def test_noise_has_the_level_that_was_asked_for(raw_file):
    """Standard deviation relative to the fully sampled maximum; the truth stays clean."""
    raw = raw_file(rows=128, columns=64, recon=(64, 64), slices=1)
    volume = open_volume(raw.path)
    mask = torch.ones(64, dtype=torch.bool)
    clean = prepare(volume, 0, mask)
    noisy = prepare(volume, 0, mask, noise=0.05, rng=np.random.default_rng(0))
    noise = (noisy.kspace * noisy.scale - clean.kspace * clean.scale) / raw.target.max()
    assert noise.abs().square().mean().sqrt() == pytest.approx(0.05, rel=0.02)
    for part in (noise.real, noise.imag):
        assert part.std() == pytest.approx(0.05 / np.sqrt(2), rel=0.03)
    np.testing.assert_allclose(noisy.target * noisy.scale, clean.target * clean.scale, rtol=1e-5)
    full = combine(ifft2c(clean.kspace), noisy.operator.coil_maps[0]) * clean.scale
    torch.testing.assert_close(
        noisy.reference * noisy.scale, full, rtol=1e-4, atol=1e-4 * float(full.abs().max())
    )


def test_noise_stays_within_the_mask(raw_file):
    sample = SliceDataset(raw_file().path, RandomMask(2, 0.3), noise=0.1)[0]
    assert not sample.kspace[:, :, ~sample.operator.mask.reshape(-1)].any()


def test_evaluation_repeats_its_noise_and_training_does_not(raw_file):
    dataset = SliceDataset(raw_file().path, RandomMask(2, 0.3), noise=0.1)
    assert torch.equal(dataset[0].kspace, dataset[0].kspace)
    rng = np.random.default_rng(0)
    drawn = [dataset.sample(0, rng) for _ in range(2)]
    assert not torch.equal(drawn[0].kspace, drawn[1].kspace)


def test_noise_needs_the_fully_sampled_image(raw_file, center_mask):
    dataset = SliceDataset(raw_file(mask=center_mask(20)).path, noise=0.1)
    with pytest.raises(InputError, match=r"volume.h5: noise .* fully sampled"):
        dataset[0]


@pytest.mark.parametrize("shape", [(32, 20), (33, 21)])
def test_crop_magnitude_shows_the_centre(shape):
    """The middle sample N // 2 stays the middle, at n // 2, for odd and even sizes."""
    image = torch.zeros(1, *shape, dtype=torch.complex64)
    image[0, shape[0] // 2, shape[1] // 2] = 3 + 4j
    for crop in ((9, 7), (10, 8), shape):
        shown = crop_magnitude(image, crop)
        assert (
            shown.shape == (1, *crop)
            and shown[0, crop[0] // 2, crop[1] // 2] == 5
            and shown.sum() == 5
        )


def test_an_empty_slice_gives_zeros_and_no_nan(raw_file):
    def blank(file) -> None:
        file["kspace"][0] = 0
        file["reconstruction_rss"][0] = 0

    sample = SliceDataset(raw_file(change=blank).path, RandomMask(2, 0.3))[0]
    assert sample.scale == 1 and not sample.kspace.any() and not sample.target.any()
    assert sample.operator.coil_maps.isfinite().all()


def test_calibration_of_a_two_dimensional_mask_stays_in_its_full_centre():
    mask = torch.zeros(40, 20, dtype=torch.bool)
    mask[12:29, 6:15] = True  # 17 rows and 9 columns about (20, 10)
    assert calibration(mask) == (slice(6, 15), slice(12, 29))
    mask[20, 10] = False
    with pytest.raises(InputError, match="calibration"):
        calibration(mask)
