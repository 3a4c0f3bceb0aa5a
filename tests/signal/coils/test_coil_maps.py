"""Coil maps: normalised everywhere, smooth, and estimated well enough to explain the measured coil
images.
"""

import math

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.coils.coil_maps import estimate_coil_maps, rss, simulate_coil_maps
from deqlab.signal.transforms.fourier import fft2c, ifft2c


def smooth_object(rows: int, columns: int) -> torch.Tensor:
    """A complex disc with some structure and a smooth phase, in empty space: complex128 (y, x)."""
    y = torch.linspace(-1, 1, rows, dtype=torch.float64)[:, None] * rows / columns
    x = torch.linspace(-1, 1, columns, dtype=torch.float64)[None, :]
    radius = (x**2 + y**2).sqrt()
    magnitude = torch.sigmoid((0.8 - radius) * 40) * (1 + 0.3 * torch.cos(7 * x) * torch.cos(5 * y))
    return magnitude * torch.exp(1j * (0.8 * x + 0.5 * y))


def coil_kspace(maps: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return fft2c(maps.to(torch.complex128) * image)


@pytest.mark.parametrize("coils", [1, 2, 4, 8, 15])
@pytest.mark.parametrize("shape", [(32, 32), (64, 33), (31, 40)])
def test_simulated_maps_have_unit_sum_of_squares(coils, shape):
    maps = simulate_coil_maps(coils, shape, seed=3)
    assert maps.shape == (coils, *shape) and maps.dtype == torch.complex64
    torch.testing.assert_close(rss(maps), torch.ones(shape))


def test_simulated_maps_depend_on_the_seed_alone():
    first = simulate_coil_maps(4, (24, 24), seed=5)
    assert first.equal(simulate_coil_maps(4, (24, 24), seed=5))
    assert not torch.allclose(first, simulate_coil_maps(4, (24, 24), seed=6), atol=0.1)


def test_simulated_coils_look_at_different_places_smoothly():
    maps = simulate_coil_maps(4, (64, 64), seed=0)
    inside = maps[:, 8:56, 8:56]
    # Each coil is the strongest somewhere, its phase varies, and neighbouring pixels differ little.
    assert set(inside.abs().argmax(0).unique().tolist()) == {0, 1, 2, 3}
    assert all(coil.angle().std() > 0.1 for coil in inside)
    assert (inside[:, 1:] - inside[:, :-1]).abs().max() < 0.12
    assert (inside[:, :, 1:] - inside[:, :, :-1]).abs().max() < 0.12


def test_field_of_a_loop_agrees_with_biot_savart():
    from deqlab.signal.coils.coil_simulation import _loop_field

    radius, height, across = 0.6, 0.5, 0.37
    angle = torch.arange(4000, dtype=torch.float64) * 2 * math.pi / 4000
    wire = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.zeros_like(angle)], -1)
    along = torch.stack([-angle.sin(), angle.cos(), torch.zeros_like(angle)], -1)
    for side in (across, -across):
        to_point = torch.tensor([side, 0.0, height], dtype=torch.float64) - wire
        field = torch.linalg.cross(along, to_point) / to_point.norm(dim=-1, keepdim=True) ** 3
        reference = field.mean(0)
        axial, radial = _loop_field(
            radius, *(torch.tensor([v]).double().numpy() for v in (height, side))
        )
        assert radial[0] / axial[0] == pytest.approx(float(reference[0] / reference[2]), rel=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (128, 64), (63, 65), (96, 80)])
@pytest.mark.parametrize("lines", [8, 9, 16])
def test_estimated_maps_are_normalised_and_explain_the_coil_images(shape, lines):
    image = smooth_object(*shape)
    kspace = coil_kspace(simulate_coil_maps(4, shape, seed=1), image)
    start = shape[1] // 2 - lines // 2
    maps = estimate_coil_maps(kspace, slice(start, start + lines))
    torch.testing.assert_close(rss(maps), torch.ones(shape, dtype=torch.float64))
    coil_images = ifft2c(kspace)
    explained = maps * (maps.conj() * coil_images).sum(0)
    assert (explained - coil_images).norm() / coil_images.norm() < 0.05


def test_estimated_maps_equal_the_true_ones_up_to_a_common_phase():
    image = smooth_object(64, 64)
    true = simulate_coil_maps(4, (64, 64), seed=2).to(torch.complex128)
    maps = estimate_coil_maps(coil_kspace(true, image), slice(24, 40))
    agreement = (maps.conj() * true).sum(0).abs()
    assert agreement[image.abs() > 0.7].min() > 0.99


def test_only_the_calibration_lines_are_read():
    kspace = coil_kspace(simulate_coil_maps(3, (32, 32), seed=1), smooth_object(32, 32))
    other = kspace.clone()
    other[..., :12] = float("inf")
    other[..., 20:] = 0
    kept = slice(12, 20)
    only = torch.zeros_like(kspace)
    only[..., kept] = kspace[..., kept]
    assert estimate_coil_maps(only, kept).equal(estimate_coil_maps(kspace, kept))
    assert estimate_coil_maps(other, kept).isfinite().all()


def test_estimation_ignores_scale_and_batch_mates():
    image = smooth_object(32, 40)
    kspace = torch.stack(
        [coil_kspace(simulate_coil_maps(4, (32, 40), seed), image) for seed in (1, 2)]
    )
    lines = slice(14, 26)
    maps = estimate_coil_maps(kspace, lines)
    assert maps.shape == kspace.shape
    for factor in (1e-25, 1.0, 1e25):
        torch.testing.assert_close(estimate_coil_maps(factor * kspace[1], lines), maps[1])
    faint_mate = torch.stack([1e-25 * kspace[0], kspace[1]])
    torch.testing.assert_close(estimate_coil_maps(faint_mate, lines), maps)
    single = (kspace * 1e-12).to(torch.complex64)
    rough = estimate_coil_maps(single, lines).to(torch.complex128)
    torch.testing.assert_close(rough, maps, atol=1e-3, rtol=0)


def test_no_signal_and_one_coil_are_no_exceptions():
    empty = estimate_coil_maps(torch.zeros(4, 8, 8, dtype=torch.complex64), slice(3, 6))
    torch.testing.assert_close(rss(empty), torch.ones(8, 8))
    one = estimate_coil_maps(torch.randn(2, 1, 8, 8, dtype=torch.complex64), slice(3, 6))
    torch.testing.assert_close(one.abs(), torch.ones(2, 1, 8, 8))


def test_the_map_of_one_coil_takes_the_smooth_phase_away():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    phase = torch.polar(torch.ones(32, 32), 0.8 * x - 0.5 * y)
    blob = torch.exp(-3 * (x**2 + y**2))
    maps = estimate_coil_maps(fft2c(blob * phase)[None], slice(8, 25))
    torch.testing.assert_close(maps[0][blob > 0.2], phase[blob > 0.2], atol=0.02, rtol=0)


@pytest.mark.parametrize("lines", [slice(0, 3), slice(5, 8)])
def test_lines_without_the_centre_are_refused(lines):
    with pytest.raises(InputError, match="lines"):
        estimate_coil_maps(torch.zeros(2, 8, 8, dtype=torch.complex64), lines)


def test_rss_reduces_the_named_axis():
    images = torch.randn(2, 3, 4, 5, dtype=torch.complex64)
    torch.testing.assert_close(rss(images), (images.abs() ** 2).sum(1).sqrt())
    torch.testing.assert_close(rss(images, 0), (images.abs() ** 2).sum(0).sqrt())
