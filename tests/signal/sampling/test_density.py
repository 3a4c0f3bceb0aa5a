"""Density weights: 1 on a full grid, the analytic ramp on spokes, and F^H D F near the identity
where nothing is missing.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.signal.sampling.density import pipe_menon, ramp
from deqlab.signal.sampling.trajectories import (
    CartesianLines,
    GoldenAngles,
    Radial,
    RadialVolume,
    Spiral,
    nyquist_spokes,
)
from deqlab.signal.scan.gradients import Gradients

SHAPE = (16, 16)
COARSE = Gradients(dwell=1e-5)


def matrix(points: Tensor, shape: tuple[int, ...], dtype: torch.dtype = torch.complex128) -> Tensor:
    """exp(-2 pi i k n) / sqrt(pixels), (samples, pixels), by its definition."""
    phase = torch.zeros(len(points), 1, dtype=torch.float64)
    for axis, length in enumerate(shape):
        positions = torch.arange(length, dtype=torch.float64) - length // 2
        phase = (phase[:, :, None] + (points[:, axis, None] * positions)[:, None, :]).flatten(1)
    return (torch.exp(-2j * math.pi * phase) / math.sqrt(math.prod(shape))).to(dtype)


def weights(
    points: Tensor,
    shape: tuple[int, ...],
    iterations: int = 10,
    dtype: torch.dtype = torch.complex128,
) -> Tensor:
    doubled = tuple(2 * side for side in shape)
    F = matrix(points, doubled, dtype)
    return pipe_menon(
        lambda image: F @ image.flatten(),
        lambda y: (F.mH @ y).reshape(doubled),
        torch.zeros(len(points), dtype=dtype),
        iterations,
        len(shape),
    )


@pytest.mark.parametrize("shape", [(12, 12), (11, 14)])
def test_a_full_grid_needs_no_compensation(shape) -> None:
    result = weights(CartesianLines().sample(shape), shape)
    assert result.dtype == torch.float64 and not result.is_complex()
    assert_close(
        result, torch.ones_like(result), rtol=0, atol=0.05
    )  # odd sides have no exact triangle
    if shape == (12, 12):
        assert_close(result, torch.ones_like(result), rtol=0, atol=1e-12)


def test_precision_follows_the_samples() -> None:
    points = Radial(9).sample((8, 8))
    single, double = (
        weights(points, (8, 8), dtype=dtype) for dtype in (torch.complex64, torch.complex128)
    )
    assert single.dtype == torch.float32
    assert_close(single.double(), double, rtol=1e-4, atol=0)


@pytest.mark.parametrize("samples", [32, 31, 64])
def test_spokes_at_nyquist_get_the_ramp(samples) -> None:
    """Within the disc, away from the centre (smoothed over one sample) and the rim (neighbours on
    one side only).
    """
    points = Radial(nyquist_spokes(SHAPE), samples).sample(SHAPE)
    found, exact = weights(points, SHAPE), ramp(points, SHAPE)
    radius = points.norm(dim=1) * SHAPE[0]
    inside = (radius > 2) & (radius < SHAPE[0] / 2 - 2)
    ratio = (found / exact)[inside]
    assert float(ratio.mean()) == pytest.approx(1, abs=0.02)
    assert float(ratio.std()) < 0.05
    # The ramp itself adds up to the area of the disc, pi / 4 of the square.
    assert float(exact.sum()) / math.prod(SHAPE) == pytest.approx(math.pi / 4, rel=0.03)


DENSE = {
    "spokes": Radial(nyquist_spokes(SHAPE)),
    "golden spokes": Radial(34, angles=GoldenAngles()),
    "spiral": Spiral(4, gradients=COARSE),
    "dense centre": Spiral(3, center_density=3, gradients=COARSE),
}


@pytest.mark.parametrize("choice", DENSE.values(), ids=DENSE)
def test_the_weighted_adjoint_gives_back_a_compact_object(choice) -> None:
    """A Gaussian, so that all of its k-space lies within the circle of samples, at its own
    intensity and out of the centre.
    """
    points = choice.sample(SHAPE)
    y, x = torch.meshgrid(*[torch.arange(side) - side // 2 for side in SHAPE], indexing="ij")
    blob = torch.exp(-((y - 1) ** 2 + (x + 2) ** 2) / 8.0).to(torch.complex128).flatten()
    F = matrix(points, SHAPE)
    samples = F @ blob
    density = weights(points, SHAPE)
    image, plain = F.mH @ (density * samples), F.mH @ samples
    error = float((image - blob).norm() / blob.norm())
    best = plain * (torch.vdot(plain, blob) / torch.vdot(plain, plain))
    assert error < 0.08
    assert error < 0.3 * float((best - blob).norm() / blob.norm())


def test_more_iterations_make_the_density_flatter_and_do_not_drift() -> None:
    points = Radial(nyquist_spokes(SHAPE)).sample(SHAPE)
    few, many = weights(points, SHAPE, 10), weights(points, SHAPE, 100)
    assert float((many / few).max()) < 3
    norm = torch.linalg.matrix_norm(many.sqrt()[:, None] * matrix(points, SHAPE), ord=2)
    assert float(norm) ** 2 < 2


def test_what_is_missing_is_not_made_up_by_weight() -> None:
    """Few spokes: at the rim a sample has no neighbours across, and counts for its own Cartesian
    share and no more.
    """
    points = Radial(6).sample(SHAPE)
    found, exact = weights(points, SHAPE), ramp(points, SHAPE)
    rim = points.norm(dim=1) > 0.4
    assert float(found[rim].max()) < 1.2
    assert float(exact[rim].min()) > 1.5


def test_a_volume_of_spokes() -> None:
    """The share of a sample grows with |k|^2: from a sixth to a third of a cycle per pixel it is
    four times larger.
    """
    shape = (6, 6, 6)
    points = RadialVolume(nyquist_spokes(shape), 12).sample(shape)
    found, radius = weights(points, shape), points.norm(dim=1)
    near, far = (
        float(found[(radius - distance).abs() < 0.01].mean()) for distance in (1 / 6, 1 / 3)
    )
    assert far / near == pytest.approx(4, rel=0.3)


def test_bad_choices_are_named() -> None:
    with pytest.raises(InputError, match="iterations: 0 given"):
        weights(Radial(3).sample((4, 4)), (4, 4), 0)
    with pytest.raises(InputError, match="trajectory: .* spokes of equal length"):
        ramp(Radial(5).sample(SHAPE)[:-1], SHAPE)
    with pytest.raises(InputError, match="trajectory: 3 points, 0 of them"):
        ramp(torch.full((3, 2), 0.1), SHAPE)
