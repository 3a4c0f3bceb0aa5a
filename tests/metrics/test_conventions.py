"""Metrics against other libraries' numbers, conventions that are never mixed, and regions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_laplace

from deqlab.core.errors import InputError
from deqlab.metrics import (
    HFEN,
    NMSE,
    PSNR,
    SSIM,
    VIF,
    InsideObject,
    MagnitudeBias,
    Marked,
    PhaseError,
    hfen,
    magnitude_bias,
    phase_error,
    psnr,
    ssim,
    vif,
)

# Of `pair` below, in float64: scikit-image 0.26 (structural_similarity with win_size=7,
# peak_signal_noise_ratio), with the volume's maximum as data range and with each slice's own.
SKIMAGE = {
    "ssim": {"volume": 0.8081620563034893, "slice": 0.8061698846280796},
    "psnr": {"volume": 31.59778436782433, "slice": 31.476714446627554},
}
# Of each slice brought to a maximum of 255: torchmetrics 1.9, visual_information_fidelity; piq 0.8,
# vif_p on [0, 1] says 0.53814 and 0.52129.
VIF_OF_SLICES = (0.5381422713437901, 0.5212903591708548)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two slices of bumps with stripes, and the same with another pattern on it; nothing random, so
    that any library can be given the same.
    """
    y, x = np.mgrid[:64, :72] / 64
    bump = (y - 0.5) ** 2 + (x - 0.5) ** 2
    target = np.stack(
        [np.exp(-bump * 8 * k) * (1 + 0.3 * np.sin(40 * x * k) * np.cos(25 * y)) for k in (1, 2)]
    )
    phase = np.arange(2)[:, None, None]
    return target, np.abs(target + 0.05 * np.sin(300 * y * x + phase))


@pytest.mark.parametrize(("name", "metric"), [("ssim", SSIM), ("psnr", PSNR)])
def test_as_scikit_image(pair, name: str, metric) -> None:
    target, image = pair
    # PSNR of a volume is one mean over all pixels, SSIM the mean of its slices
    assert metric()(target, image) == pytest.approx(SKIMAGE[name]["volume"], abs=1e-5)
    assert metric(by="slice")(target, image) == pytest.approx(SKIMAGE[name]["slice"], abs=1e-5)


def test_vif_as_torchmetrics(pair) -> None:
    target, image = pair
    for t, i, expected in zip(target, image, VIF_OF_SLICES):
        alone = VIF(data_range=float(target.max()))(t[None], i[None])
        assert alone == pytest.approx(expected, abs=1e-4)
    assert min(VIF_OF_SLICES) < vif(target, image) < max(VIF_OF_SLICES)


def test_vif_knows_better_from_worse(pair) -> None:
    target, image = pair
    assert vif(target, target) == pytest.approx(1)
    assert vif(target, target + 0.3 * (image - target)) > vif(target, image) + 0.1
    assert vif(target, 1.2 * target) > 1  # more contrast, more to see
    assert vif(target, np.full_like(target, target.mean())) == pytest.approx(0, abs=1e-6)
    assert np.isnan(vif(np.ones((1, 48, 48)), np.ones((1, 48, 48))))


def test_vif_refuses_what_its_windows_do_not_fit() -> None:
    with pytest.raises(InputError, match="40x60 given, at least 41x41"):
        vif(np.ones((1, 40, 60)), np.ones((1, 40, 60)))


def test_hfen_filters_by_a_laplacian_of_a_gaussian(pair) -> None:
    target, image = pair
    assert hfen(target, np.zeros_like(target)) == pytest.approx(1)
    inside = np.zeros((1, 64, 72), bool)
    inside[:, 12:-12, 12:-12] = True
    edges = [np.stack([gaussian_laplace(z, 1.5) for z in v]) for v in (image - target, target)]
    wrong, there = (e[:, 12:-12, 12:-12] for e in edges)
    expected = np.linalg.norm(wrong) / np.linalg.norm(there)
    assert HFEN(region=Marked(inside))(target, image) == pytest.approx(expected, rel=0.02)
    # a flat offset is no edge
    assert HFEN(region=Marked(inside))(target, target + 1) == pytest.approx(0, abs=1e-9)


def test_magnitude_bias_is_the_share_of_brightness(pair) -> None:
    target, _ = pair
    assert magnitude_bias(target, 0.9 * target) == pytest.approx(-0.1)
    dim = target * np.array([0.5, 1.5])[:, None, None]
    sums = target.sum((1, 2))
    expected = (0.5 * sums[1] - 0.5 * sums[0]) / sums.sum()
    assert magnitude_bias(target, dim) == pytest.approx(expected)
    assert MagnitudeBias(by="slice")(target, dim) == pytest.approx(0)


def test_phase_error_is_an_angle(pair) -> None:
    target = pair[0] + 0j
    assert phase_error(target, target * np.exp(0.3j)) == pytest.approx(0.3)
    assert phase_error(target, target * np.exp(0.3j) * 7) == pytest.approx(0.3)
    assert phase_error(target, -target) == pytest.approx(np.pi)
    removed = PhaseError(constant="removed")
    assert removed(target, target * np.exp(0.3j)) == pytest.approx(0, abs=1e-7)
    # a wrong phase in the dark weighs little unless all pixels count alike
    dark = pair[0] < 0.05 * pair[0].max()
    wrong = np.where(dark, -target, target)
    alike = PhaseError(weight="alike")(target, wrong)
    assert phase_error(target, wrong) < 0.35 * alike
    assert alike == pytest.approx(np.pi * np.sqrt(dark.mean()))


def test_volume_and_slice_are_never_mixed(pair) -> None:
    """Slice by slice nobody asks for the volume's maximum, and each number is its mean."""
    target, image = pair
    for metric in (PSNR, SSIM, NMSE, VIF, HFEN):
        each = [metric()(t[None], i[None]) for t, i in zip(target, image)]
        sliced = metric(by="slice")
        assert sliced(target, image) == pytest.approx(np.mean(each))
        assert sliced(target, image, maximum=100.0) == sliced(target, image)
    for metric in (PSNR, SSIM, VIF):
        ranged = metric(data_range=3.0)
        assert ranged(target, image) == ranged(target, image, maximum=100.0)
        assert ranged(target, image) != pytest.approx(metric()(target, image))
        assert metric()(target, image, maximum=3.0) == pytest.approx(ranged(target, image))


def test_only_pixels_of_the_region_count(pair) -> None:
    target, image = pair
    inside = target > 0.05 * target.max()
    errors = (image - target)[inside]
    expected = 10 * np.log10(target.max() ** 2 / np.mean(errors**2))
    assert PSNR(region=InsideObject())(target, image) == pytest.approx(expected)
    assert PSNR(region=Marked(inside))(target, image) == pytest.approx(expected)
    spoilt = np.where(inside, image, 9.0)
    for metric in (PSNR, NMSE, MagnitudeBias):
        region = metric(region=InsideObject())
        assert region(target, spoilt) == pytest.approx(region(target, image))
    assert ssim(target, spoilt) < 0.9


def test_regions_that_do_not_fit_are_refused(pair) -> None:
    target, image = pair
    with pytest.raises(InputError, match=r"mask of shape \(3, 3\).*\(2, 64, 72\)"):
        PSNR(region=Marked(np.ones((3, 3))))(target, image)
    with pytest.raises(InputError, match="no pixel"):
        PSNR(region=Marked(np.zeros((1, 1))))(target, image)
    corner = np.zeros((64, 72), bool)
    corner[0, 0] = True
    with pytest.raises(InputError, match="no middle of a 7x7 window"):
        SSIM(region=Marked(corner))(target, image)


def test_units_do_not_matter_where_the_range_follows_the_target(pair) -> None:
    target, image = pair
    for metric in (psnr, ssim, vif, hfen, magnitude_bias):
        assert metric(1e-7 * target, 1e-7 * image) == pytest.approx(metric(target, image))
