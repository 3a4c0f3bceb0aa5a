"""Trajectories cover what they say, within +-0.5 cycles per pixel, at times that a scanner could
keep.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.signal.sampling.trajectories import (
    CartesianLines,
    GoldenAngles,
    Radial,
    RadialVolume,
    Spiral,
    UniformAngles,
    nyquist_spokes,
    nyquist_turns,
    per_field_of_view,
    per_pixel,
)
from deqlab.signal.scan.gradients import GAMMA, Gradients

SHAPES = [(32, 32), (33, 33), (40, 25), (25, 40)]
PLANE = [
    Radial(1),
    Radial(7, 31),
    Radial(21, angles=GoldenAngles()),
    Radial(21, angles=GoldenAngles(7)),
    Spiral(1),
    Spiral(4, angles=GoldenAngles()),
    Spiral(3, turns=2.5),
    Spiral(3, center_density=4.0),
    Spiral(3, center_density=0.5),
    CartesianLines(),
    CartesianLines(lines_per_shot=8),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("choice", PLANE, ids=repr)
def test_points_lie_within_half_a_cycle_per_pixel_and_each_has_its_time(choice, shape) -> None:
    points, times = choice.sample(shape), choice.readout_times(shape)
    assert points.dtype == times.dtype == torch.float64
    assert points.shape == (len(times), 2)
    assert float(points.abs().max()) <= 0.5
    assert float(points.norm(dim=1).min()) < 1e-12  # the centre of k-space itself is measured


@pytest.mark.parametrize("samples", [None, 31, 48])
def test_spokes_are_diameters_in_the_directions_of_their_rule(samples) -> None:
    shape, angles = (24, 18), GoldenAngles()
    spokes = Radial(5, samples, angles).sample(shape).reshape(5, -1, 2)
    steps = samples or 48
    assert spokes.shape[1] == steps
    for angle, spoke in zip(angles.sample(5, math.pi), spokes):
        along = spoke @ torch.tensor([math.sin(angle), math.cos(angle)], dtype=torch.float64)
        across = spoke @ torch.tensor([math.cos(angle), -math.sin(angle)], dtype=torch.float64)
        assert_close(along, (torch.arange(steps, dtype=torch.float64) - steps // 2) / steps)
        assert_close(across, torch.zeros_like(across))
    times = Radial(5, samples, angles, dwell=4e-6).readout_times(shape).reshape(5, -1)
    assert_close(times[3], (torch.arange(steps, dtype=torch.float64) - steps // 2) * 4e-6)


def test_golden_angles_are_golden() -> None:
    assert math.degrees(GoldenAngles().sample(2, math.pi)[1]) == pytest.approx(111.246, abs=1e-3)
    assert math.degrees(GoldenAngles(7).sample(2, math.pi)[1]) == pytest.approx(23.628, abs=1e-3)
    uniform = torch.from_numpy(UniformAngles().sample(8, math.pi))
    assert_close(uniform.diff(), torch.full((7,), math.pi / 8, dtype=torch.float64))


@pytest.mark.parametrize("first, count", [(0, 8), (3, 13), (40, 34)])
def test_any_run_of_golden_angles_leaves_no_wide_gap(first, count) -> None:
    """For a Fibonacci number of spokes the largest gap is below twice the mean one; uniform angles
    cut short leave a wedge open.
    """

    def widest(angles: torch.Tensor) -> float:
        sorted_ = angles.sort().values
        closed = torch.cat((sorted_, sorted_[:1] + math.pi))
        return float(closed.diff().max()) / (math.pi / count)

    golden = torch.from_numpy(GoldenAngles().sample(first + count, math.pi))[first:]
    assert widest(golden) < 2
    assert widest(torch.from_numpy(UniformAngles().sample(2 * count, math.pi))[:count]) > count / 3


@pytest.mark.parametrize("interleaves, density", [(1, 1.0), (4, 1.0), (4, 3.0), (3, 0.5)])
def test_neighbouring_turns_are_as_far_apart_as_asked(interleaves, density) -> None:
    """At the edge one cycle per field of view, in the centre `density` times less, linear in
    between.
    """
    shape = (64, 48)
    spiral = Spiral(interleaves, center_density=density)
    points = per_field_of_view(
        spiral.sample(shape)[: len(spiral.readout_times(shape)) // interleaves], (64, 64)
    )
    radius = points.norm(dim=1)
    assert float(radius.max()) == pytest.approx(32, rel=2e-3)
    angle = torch.atan2(points[:, 0], points[:, 1])
    step = torch.remainder(angle.diff() + math.pi, 2 * math.pi) - math.pi
    unwrapped = torch.cat((torch.zeros(1, dtype=step.dtype), step.cumsum(0)))
    assert float(unwrapped[-1]) / (2 * math.pi) == pytest.approx(
        nyquist_turns(shape, interleaves, density), rel=0.02
    )
    # distance between turns of all interleaves = 2 pi dr/dangle / interleaves
    gap = 2 * math.pi / interleaves * radius.diff() / unwrapped.diff()
    middle = (radius[1:] + radius[:-1]) / 2
    wanted = 1 / (density + (1 - density) * middle / 32)
    assert_close(gap[50:], wanted[50:], rtol=2e-3, atol=0)


@pytest.mark.parametrize(
    "gradients", [Gradients(), Gradients(amplitude=10, slew=200), Gradients(amplitude=80, slew=50)]
)
@pytest.mark.parametrize("spiral", [Spiral(1), Spiral(6), Spiral(6, center_density=4)], ids=repr)
def test_the_scanner_can_play_the_spiral_and_one_of_its_limits_is_always_reached(
    spiral, gradients
) -> None:
    spiral = Spiral(
        spiral.interleaves,
        center_density=spiral.center_density,
        gradients=gradients,
        field_of_view=200,
    )
    shape = (64, 64)
    samples = len(spiral.readout_times(shape)) // spiral.interleaves
    assert spiral.duration(shape) == pytest.approx(samples * gradients.dwell)
    per_mm = spiral.sample(shape)[:samples] * 64 / 200
    gradient = per_mm.diff(dim=0) / gradients.dwell / (GAMMA * 1e3) * 1e3  # mT/m
    slew = gradient.diff(dim=0) / gradients.dwell * 1e-3  # T/m/s
    used = gradient.norm(dim=1) / gradients.amplitude
    turned = slew.norm(dim=1) / gradients.slew
    assert float(used.max()) < 1.001 and float(turned.max()) < 1.08
    limiting = torch.maximum(used[1:], turned)
    assert float(limiting.quantile(0.02)) > 0.98


def test_cartesian_lines_are_the_grid_of_fft2c_with_their_times() -> None:
    rows, columns = 6, 5
    points = CartesianLines().sample((rows, columns)).reshape(columns, rows, 2)
    assert_close(points[2, :, 1], torch.zeros(rows, dtype=torch.float64))
    assert_close(points[0, :, 0], (torch.arange(rows, dtype=torch.float64) - 3) / rows)
    assert_close(points[:, 0, 1], (torch.arange(columns, dtype=torch.float64) - 2) / columns)
    times = CartesianLines(dwell=1e-5).readout_times((rows, columns)).reshape(columns, rows)
    assert_close(
        times, ((torch.arange(rows, dtype=torch.float64) - 3) * 1e-5).expand(columns, rows)
    )
    train = (
        CartesianLines(lines_per_shot=5, dwell=1e-5)
        .readout_times((rows, columns))
        .reshape(columns, rows)
    )
    assert_close(train[:, 3], (torch.arange(5, dtype=torch.float64) - 2) * rows * 1e-5)


def test_spokes_of_a_volume_fill_the_ball_evenly() -> None:
    """Directions of a uniform distribution over the half sphere: E[n n^T] = 1/3, and heights
    uniform in [0, 1].
    """
    spokes = RadialVolume(610, 9).sample((8, 8, 8)).reshape(610, 9, 3)
    ends = spokes[:, 0] * -2
    assert_close(ends.norm(dim=1), torch.full((610,), 8 / 9, dtype=torch.float64))
    directions = ends / ends.norm(dim=1, keepdim=True)
    assert_close(
        directions.T @ directions / 610, torch.eye(3, dtype=torch.float64) / 3, atol=2e-3, rtol=0
    )
    heights = directions[:, 0].sort().values
    assert_close(heights, torch.arange(610, dtype=torch.float64) / 610, atol=5e-3, rtol=0)
    # No two spokes closer than a fifth of the mean distance, sqrt(2 pi / 610).
    cosines = (directions @ directions.T).abs().fill_diagonal_(0)
    assert float(cosines.max().clamp(max=1).acos()) > 0.2 * math.sqrt(2 * math.pi / 610)


def test_nyquist() -> None:
    assert nyquist_spokes((64, 48)) == math.ceil(math.pi / 2 * 64)
    assert nyquist_spokes((16, 16, 12)) == math.ceil(math.pi / 2 * 256)
    # The ends of that many spokes are one cycle per field of view apart.
    ends = per_field_of_view(
        Radial(nyquist_spokes((64, 64))).sample((64, 64)).reshape(-1, 128, 2)[:2, 0], (64, 64)
    )
    assert float((ends[0] - ends[1]).norm()) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_units_and_back(shape) -> None:
    points = Radial(5).sample(shape)
    counted = per_field_of_view(points, shape)
    assert_close(counted[:, 0], points[:, 0] * shape[0])
    assert_close(per_pixel(counted, shape), points)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Radial(0), "radial: spokes is 0"),
        (lambda: Radial(-3), "radial: spokes is -3"),
        (lambda: Radial(2.5), "radial: spokes is 2.5"),
        (lambda: Radial(4, 0), "radial: samples is 0"),
        (lambda: Radial(4, dwell=0), "radial: dwell is 0"),
        (lambda: Spiral(0), "spiral: interleaves is 0"),
        (lambda: Spiral(4, turns=0), "spiral: turns is 0"),
        (lambda: Spiral(4, center_density=-1), "spiral: center_density is -1"),
        (lambda: Spiral(4, field_of_view=0), "spiral: field_of_view is 0; a positive number of mm"),
        (lambda: Spiral(4, field_of_view=-240), "spiral: field_of_view is -240"),
        (lambda: Spiral(4, field_of_view=math.nan), "spiral: field_of_view is nan"),
        (lambda: Gradients(amplitude=0), "gradients: amplitude is 0"),
        (lambda: Gradients(slew=math.inf), "gradients: slew is inf"),
        (lambda: GoldenAngles(0), "golden angles: order is 0"),
        (lambda: CartesianLines(0), "lines: lines_per_shot is 0"),
        (lambda: RadialVolume(0), "radial volume: spokes is 0"),
        (lambda: Radial(4).sample((0, 8)), r"shape: \(0, 8\)"),
        (lambda: Radial(4).sample((8, 8, 8)), r"shape: \(8, 8, 8\) given; 2 whole"),
        (lambda: RadialVolume(4).sample((8, 8)), r"shape: \(8, 8\) given; 3 whole"),
        (lambda: nyquist_spokes((8,)), r"shape: \(8,\)"),
    ],
)
def test_bad_choices_are_named(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
