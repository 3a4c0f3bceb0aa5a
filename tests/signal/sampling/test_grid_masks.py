"""Patterns on the grid: exact counts, a whole centre, and the geometry that their names promise."""

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.sampling.grid_masks import (
    RadialOnGrid,
    RandomPoints,
    SpiralOnGrid,
    center_distance,
    first_arrival,
    path_points,
)

PATTERNS = (RandomPoints, RadialOnGrid, SpiralOnGrid)
SHAPES = ((128, 128), (97, 64))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("acceleration", [2, 4, 9.5])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_count_is_exact_and_the_centre_whole(pattern, acceleration, shape):
    for seed in range(2):
        mask = pattern(acceleration, 12).sample(shape, seed)
        assert mask.shape == shape and mask.dtype == torch.bool
        assert int(mask.sum()) == round(shape[0] * shape[1] / acceleration)
        assert mask[
            shape[0] // 2 - 6 : shape[0] // 2 + 6, shape[1] // 2 - 6 : shape[1] // 2 + 6
        ].all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_seed_decides_the_draw(pattern):
    assert pattern(6).sample((64, 64), 7).equal(pattern(6).sample((64, 64), 7))
    assert not pattern(6).sample((64, 64), 7).equal(pattern(6).sample((64, 64), 8))


def test_random_points_are_as_dense_as_asked():
    near = torch.from_numpy(center_distance((128, 128)) < 0.25)
    shares = []
    for power in (0.0, 3.0):
        draws = torch.stack(
            [RandomPoints(8, 0, power).sample((128, 128), seed) for seed in range(8)]
        )
        shares.append(float(draws[:, near].float().mean()))
    # Uniform where the power is 0; much denser in the centre, as (1 - d)^3 is largest there.
    assert shares[0] == pytest.approx(1 / 8, rel=0.1)
    assert shares[1] > 0.5
    assert RandomPoints(1, 4).sample((20, 20), 0).all()


def test_spokes_are_straight_and_denser_towards_the_centre():
    mask, distance = RadialOnGrid(8, 0).sample((129, 129), 0).numpy(), center_distance((129, 129))
    assert mask[64, 64] and not mask[distance > 1.02].any()
    # Circles of any size meet the same number of spokes, so density falls as one over their size.
    density = [mask[(distance > r - 0.05) & (distance <= r + 0.05)].mean() for r in (0.3, 0.6, 0.9)]
    assert density[0] / density[2] == pytest.approx(3, rel=0.15)
    assert density[0] / density[1] == pytest.approx(2, rel=0.15)


def test_one_spoke_is_a_line():
    mask = RadialOnGrid(64, 0).sample((64, 64), 5)
    points = np.argwhere(mask.numpy()) - 32.0
    values = np.linalg.svd(points, compute_uv=False)
    assert int(mask.sum()) == 64 and values[1] < 0.1 * values[0]


def test_archimedean_spiral_has_turns_equally_far_apart():
    """Along a ray its points are equally spaced, whatever the distance from the centre."""
    mask = SpiralOnGrid(12, 0, interleaves=1, power=1.0).sample((257, 257), 0).numpy()
    ray = np.flatnonzero(mask[128, 129:])
    starts = ray[np.append(True, np.diff(ray) > 1)]
    steps = np.diff(starts)
    assert len(steps) > 5 and steps.max() - steps.min() <= 2


def test_power_moves_turns_to_the_centre():
    near = torch.from_numpy(center_distance((128, 128)) < 0.5)
    counts = [
        int(SpiralOnGrid(8, 0, power=power).sample((128, 128), 0)[near].sum())
        for power in (1.0, 2.0)
    ]
    assert 1.2 * counts[0] < counts[1]


def test_interleaves_are_copies_of_one_another():
    mask = SpiralOnGrid(8, 0, interleaves=4).sample((129, 129), 0)
    # Turned by a quarter, four interleaves are the same pattern, but for the points that were cut
    # off to meet the count.
    assert float((mask ^ mask.rot90(1, (0, 1))).float().mean()) < 0.02


def test_first_arrival_is_the_earliest():
    points, time = np.array([[3, 0, 3, -1]]), np.array([[2.0, 5.0, 1.0, 0.0]])
    assert first_arrival((2, 2), points, time).tolist() == [[5.0, np.inf], [np.inf, 1.0]]


def test_path_points_leave_out_what_is_outside():
    angle = np.array([0.0, np.pi / 2, 0.0])
    assert path_points((8, 8), angle, np.array([0.5, -0.5, 1.0])).tolist() == [
        4 * 8 + 6,
        2 * 8 + 4,
        -1,
    ]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_impossible_patterns_are_refused(pattern):
    for arguments, name in (
        ((0.9,), "acceleration"),
        ((float("nan"),), "acceleration"),
        ((4, -2), "calibration"),
    ):
        with pytest.raises(InputError, match=name):
            pattern(*arguments)
    with pytest.raises(InputError, match="calibration"):
        pattern(2, 33).sample((32, 64), 0)
    with pytest.raises(InputError, match="calibration"):
        pattern(16, 24).sample((64, 64), 0)
    with pytest.raises(InputError, match="no point"):
        pattern(1e6, 0).sample((64, 64), 0)


def test_patterns_without_corners_say_so():
    for pattern in (RadialOnGrid, SpiralOnGrid):
        with pytest.raises(InputError, match="corners"):
            pattern(1.05, 8).sample((64, 64), 0)


def test_options_are_checked():
    for make in (
        lambda: SpiralOnGrid(4, 8, 0),
        lambda: SpiralOnGrid(4, 8, 8, 0.0),
        lambda: RandomPoints(4, 8, -1.0),
    ):
        with pytest.raises(InputError):
            make()
