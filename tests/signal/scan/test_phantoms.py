"""Simulated heads: tissues share each pixel, no head is like another, detail lives at the pixel
scale.
"""

from dataclasses import replace

import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.signal.scan import phantoms
from deqlab.signal.scan.bloch import TISSUES, SpinEcho

MATRIX = 48


def fractions_of(seed: int, height: float = 90.0, matrix: int = MATRIX) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return phantoms.tissue_fractions(phantoms.draw_head(random), height, matrix, random)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("height", phantoms.RICH_HEIGHTS)
def test_tissues_share_each_pixel_of_a_head_that_fits_its_field_of_view(seed, height):
    fractions = fractions_of(seed, height, 96)
    assert set(fractions) == set(TISSUES)
    total = sum(fractions.values())
    assert min(fraction.min() for fraction in fractions.values()) > -1e-6
    assert total.max() < 1 + 1e-5
    assert total[48, 48] == pytest.approx(1, abs=1e-5)
    rim = np.concatenate([total[0], total[-1], total[:, 0], total[:, -1]])
    assert rim.max() == 0
    for name in ("white", "grey", "csf", "fat", "bone"):
        assert fractions[name].sum() > 0.01 * total.sum(), name


def test_layers_of_the_head_lie_in_order():
    fractions = fractions_of(1, matrix=128)
    y, x = np.indices((128, 128)) - 64
    radius = np.hypot(y, x)
    mean = {name: (radius * f).sum() / f.sum() for name, f in fractions.items() if f.sum()}
    assert mean["white"] < mean["grey"] < mean["marrow"] < mean["fat"] < mean["skin"]


def test_same_draw_same_head_and_other_draws_other_heads():
    first, again, other = fractions_of(3), fractions_of(3), fractions_of(4)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    overlap = (first["white"] * other["white"]).sum() / (first["white"] ** 2).sum()
    assert overlap < 0.9


def test_rows_run_from_the_forehead_back_and_columns_across():
    # Along y of the maps a larger index is further in front, along x further to one side.
    for seed in range(5):
        head = phantoms.draw_head(np.random.default_rng(seed))
        x, y, z = phantoms._points(head, 90.0, 32)
        assert (y[0] - y[-1]).min() > 150 and (x[:, -1] - x[:, 0]).min() > 150
        assert np.abs(z - 90).max() < 45


def test_tissue_boundaries_are_a_pixel_wide():
    # The group's maps are blurred: an average of many heads. Sharpened ones are mostly 0 or 1.
    random = np.random.default_rng(0)
    head = replace(phantoms.draw_head(random), sharpness=10)
    fractions = phantoms.tissue_fractions(head, 90.0, 192, random)
    brain = sum(fractions[name] for name in ("white", "grey", "csf")) > 0.99
    largest = np.max([fractions[name] for name in ("white", "grey", "csf")], axis=0)
    assert (largest[brain] > 0.9).mean() > 0.75


def test_image_is_the_signal_of_its_tissues_up_to_texture():
    fractions = {name: np.zeros((32, 32), np.float32) for name in TISSUES}
    fractions["white"][:] = 1
    sequence = SpinEcho(500, 10)
    image = phantoms.weighted_image(fractions, sequence, TISSUES, np.random.default_rng(0))
    assert image.mean() == pytest.approx(sequence.signal(TISSUES["white"]), rel=0.05)
    assert 0.005 < image.std() / image.mean() < 0.1


def test_tissues_vary_a_little():
    varied = [phantoms.vary_tissues(np.random.default_rng(seed)) for seed in range(200)]
    times = np.array([tissues["grey"].t1 for tissues in varied]) / TISSUES["grey"].t1
    assert times.mean() == pytest.approx(1, abs=0.02) and 0.03 < times.std() < 0.07


@pytest.mark.parametrize("field", [phantoms.bias_field, phantoms.smooth_phase])
def test_fields_are_smooth_and_not_constant(field):
    values = field(64, np.random.default_rng(0))
    assert values.shape == (64, 64) and values.std() > 0.01
    assert (
        np.abs(np.diff(values, axis=0)).max() < 0.25
        and np.abs(np.diff(values, axis=1)).max() < 0.25
    )
    assert field is phantoms.smooth_phase or values.min() > 0


@pytest.mark.parametrize("sigma", [0.7, 1.5, 6.0, 30.0])
def test_noise_has_unit_variance_and_the_asked_smoothness(sigma):
    noise = phantoms._noise(np.random.default_rng(0), 128, sigma)
    assert noise.shape == (128, 128) and noise.std() == pytest.approx(1, abs=1e-3)
    if 1 < sigma < 10:
        # Neighbours at distance d of noise smoothed by a bell of width s correlate as exp(-d^2 / 4
        # s^2).
        step = round(sigma)
        correlation = (noise[step:] * noise[:-step]).mean() / (noise**2).mean()
        assert correlation == pytest.approx(np.exp(-(step**2) / (4 * sigma**2)), abs=0.1)


def test_splines_are_a_partition_of_unity():
    spline = phantoms._spline(50, 3.7, 0.3)
    assert np.allclose(spline @ np.ones(spline.shape[1]), 1)


def test_tiny_matrix_is_refused():
    with pytest.raises(InputError, match="matrix"):
        fractions_of(0, matrix=4)
