"""Poisson discs: distances are kept, no point could be added, and the count is what was asked."""

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.sampling.grid_masks import center_distance
from deqlab.signal.sampling.poisson_disc import PoissonDisc, poisson_disc


def distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances of all `points` (n, 2) from all `others` (m, 2): (n, m)."""
    return np.hypot(*(points[:, None] - others[None, :]).transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(48, 48), (35, 50), (1, 50)])
@pytest.mark.parametrize("growth", [0.0, 3.0])
@pytest.mark.parametrize("scale", [0.9, 1.3, 2.5, 7.0])
def test_distances_are_kept_and_no_point_could_be_added(shape, growth, scale):
    spacing = scale * (1 + growth * center_distance(shape))
    chosen = poisson_disc(spacing, np.random.default_rng(3))
    points, rest = np.argwhere(chosen), np.argwhere(~chosen)
    apart = distances(points, points) + 1e9 * np.eye(len(points))
    assert (apart >= np.minimum(spacing[chosen][:, None], spacing[chosen][None, :])).all()
    assert (distances(points, rest) < spacing[chosen][:, None]).any(axis=0).all()


def test_only_allowed_points_are_chosen_and_no_more_of_them_would_fit():
    spacing, allowed = np.full((40, 40), 3.0), np.random.default_rng(0).uniform(size=(40, 40)) < 0.3
    chosen = poisson_disc(spacing, np.random.default_rng(0), allowed)
    assert not (chosen & ~allowed).any()
    assert (distances(np.argwhere(chosen), np.argwhere(allowed & ~chosen)) < 3).any(axis=0).all()


def test_large_distances_cover_the_share_known_for_discs_thrown_at_random():
    chosen = poisson_disc(np.full((600, 600), 12.0), np.random.default_rng(0))
    assert chosen.sum() * np.pi * 6**2 / chosen.size == pytest.approx(0.547, rel=0.05)


def test_a_disc_larger_than_the_matrix_leaves_one_point():
    assert poisson_disc(np.full((20, 30), 1e6), np.random.default_rng(0)).sum() == 1


@pytest.mark.parametrize("shape", [(96, 96), (81, 130), (256, 256)])
@pytest.mark.parametrize("growth", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("acceleration", [1.5, 4, 8, 15.5])
def test_pattern_hits_the_acceleration(acceleration, growth, shape):
    mask = PoissonDisc(acceleration, 10, growth).sample(shape, 1)
    assert mask.shape == shape and mask.dtype == torch.bool
    assert mask.numel() / int(mask.sum()) == pytest.approx(acceleration, rel=0.01)
    rows, columns = shape
    assert mask[rows // 2 - 5 : rows // 2 + 5, columns // 2 - 5 : columns // 2 + 5].all()
    assert not mask[center_distance(shape) > 1].any()


def test_pattern_is_nearly_maximal():
    """Few points are left out of the drawn set, so hardly any hole could take another point."""
    shape, growth = (96, 96), 3.0
    mask = PoissonDisc(8, 16, growth).sample(shape, 0).numpy()
    square = np.zeros(shape, dtype=bool)
    square[40:56, 40:56] = True
    law, distance = 1 + growth * center_distance(shape), center_distance(shape)
    points = np.argwhere(mask & ~square)
    own = law[mask & ~square]
    apart = distances(points, points) + 1e9 * np.eye(len(points))
    scale = (apart / np.minimum(own[:, None], own[None, :])).min()  # of the distances that are kept
    holes = np.argwhere(~mask & (distance <= 1))
    free = (distances(points, holes) >= scale * own[:, None]).all(axis=0)
    assert free.mean() < 0.004


def test_corners_are_measured_when_asked_for():
    corner = center_distance((96, 96)) > 1
    assert PoissonDisc(4, corners=True).sample((96, 96), 0).numpy()[corner].any()


def test_growth_moves_points_to_the_centre():
    near = center_distance((128, 128)) < 0.5
    shares = [
        PoissonDisc(8, 0, growth).sample((128, 128), 0).numpy()[near].sum()
        for growth in (0.0, 1.0, 3.0)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_seed_decides_the_draw():
    pattern = PoissonDisc(8, 16)
    assert pattern.sample((64, 64), 7).equal(pattern.sample((64, 64), 7))
    assert not pattern.sample((64, 64), 7).equal(pattern.sample((64, 64), 8))


def test_impossible_patterns_are_refused():
    bad = (
        ((0.5,), "acceleration"),
        ((float("nan"),), "acceleration"),
        ((4, -1), "calibration"),
        ((4, 8, -1.0), "growth"),
    )
    for arguments, name in bad:
        with pytest.raises(InputError, match=name):
            PoissonDisc(*arguments)
    with pytest.raises(InputError, match="calibration: 65 points"):
        PoissonDisc(4, 65).sample((64, 100), 0)
    with pytest.raises(InputError, match="calibration: 60 x 60"):
        PoissonDisc(4, 60).sample((64, 64), 0)
    with pytest.raises(InputError, match="corners"):
        PoissonDisc(1.1, 8).sample((64, 64), 0)
    with pytest.raises(InputError, match="no point"):
        PoissonDisc(1000, 0).sample((20, 20), 0)
    with pytest.raises(InputError, match="spacing"):
        poisson_disc(np.zeros((4, 4)), np.random.default_rng(0))
