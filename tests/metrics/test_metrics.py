"""PSNR, SSIM and NMSE by hand, and SSIM against a second implementation that takes windows one by
one.
"""

from __future__ import annotations

import numpy as np
import pytest

from deqlab.metrics import METRICS, nmse, psnr, ssim


@pytest.fixture
def volumes() -> tuple[np.ndarray, np.ndarray]:
    """A target whose slices differ in brightness, and an image of it."""
    rng = np.random.default_rng(0)
    target = rng.random((3, 44, 47)).cumsum(1) * np.array([0.2, 1.0, 5.0])[:, None, None]
    return target, target + 0.3 * rng.standard_normal(target.shape)


def ssim_by_windows(target: np.ndarray, image: np.ndarray, peak: float) -> float:
    """Every 7x7 window that fits, sample variances, two constants; mean over windows, then over
    slices.
    """
    slices = []
    for t, i in zip(target, image, strict=True):
        values = []
        for top in range(t.shape[0] - 6):
            for left in range(t.shape[1] - 6):
                a, b = (z[top : top + 7, left : left + 7].ravel() for z in (t, i))
                (var_a, both), (_, var_b) = np.cov(a, b, ddof=1)
                c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
                luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
                values.append(luminance * (2 * both + c2) / (var_a + var_b + c2))
        slices.append(np.mean(values))
    return float(np.mean(slices))


def test_values_by_hand() -> None:
    target = np.array([[[0.0, 3.0], [4.0, 0.0]]])
    image = np.array([[[1.0, 3.0], [4.0, 2.0]]])
    assert nmse(target, image) == pytest.approx(5 / 25)
    assert psnr(target, image) == pytest.approx(10 * np.log10(16 / (5 / 4)))
    assert psnr(target, image, maximum=8.0) == pytest.approx(10 * np.log10(64 / (5 / 4)))


def test_ssim_is_the_mean_over_all_windows(volumes) -> None:
    target, image = volumes
    assert ssim(target, image) == pytest.approx(
        ssim_by_windows(target, image, target.max()), abs=1e-10
    )
    assert ssim(target, image, maximum=100.0) == pytest.approx(
        ssim_by_windows(target, image, 100.0), abs=1e-10
    )


def test_ssim_of_constants_by_hand() -> None:
    """No variance: only the luminance term is left."""
    target, image = np.full((1, 9, 9), 4.0), np.full((1, 9, 9), 2.0)
    c1 = (0.01 * 4) ** 2
    assert ssim(target, image) == pytest.approx((2 * 8 + c1) / (16 + 4 + c1))


def test_the_data_range_is_the_maximum_of_the_volume(volumes) -> None:
    """Slice by slice with each slice's own maximum the same images score several dB lower."""
    target, image = volumes
    peak, errors = target.max(), (image - target) ** 2
    assert psnr(target, image) == pytest.approx(10 * np.log10(peak**2 / errors.mean()))
    own = np.mean([psnr(t[None], i[None]) for t, i in zip(target, image, strict=True)])
    assert psnr(target, image) - own > 3
    assert ssim(target, image) == pytest.approx(
        np.mean([ssim(t[None], i[None], peak) for t, i in zip(target, image, strict=True)])
    )


def test_noise_of_known_size_has_the_psnr_it_should() -> None:
    rng = np.random.default_rng(0)
    target = np.ones((2, 100, 100))
    assert psnr(target, target + 0.01 * rng.standard_normal(target.shape)) == pytest.approx(
        40, abs=0.1
    )


def test_identical_volumes(volumes) -> None:
    target, _ = volumes
    assert nmse(target, target) == 0 and ssim(target, target) == pytest.approx(1)
    with np.errstate(divide="ignore"):
        assert psnr(target, target) == np.inf


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@pytest.mark.parametrize("name", list(METRICS))
def test_the_intensity_scale_does_not_matter(volumes, name: str, scale: float) -> None:
    target, image = volumes
    metric = METRICS.make(name)
    assert metric(scale * target, scale * image) == pytest.approx(metric(target, image))


@pytest.mark.parametrize("name", list(METRICS))
def test_single_precision_and_lists_are_computed_in_double(volumes, name: str) -> None:
    target, image = (v.astype(np.float32) for v in volumes)
    metric = METRICS.make(name)
    expected = metric(target.astype(float), image.astype(float))
    assert metric(target, image) == expected == metric(target.tolist(), image.tolist())


@pytest.mark.parametrize(
    "shapes",
    [
        ((8, 8), (8, 8)),
        ((1, 8, 8), (1, 8, 9)),
        ((1, 8, 8), (2, 8, 8)),
        ((1, 1, 8, 8), (1, 1, 8, 8)),
    ],
)
@pytest.mark.parametrize("name", list(METRICS))
def test_what_is_no_pair_of_volumes_is_refused(name: str, shapes) -> None:
    with pytest.raises(ValueError, match="slices, y, x"):
        METRICS.make(name)(np.ones(shapes[0]), np.ones(shapes[1]))
