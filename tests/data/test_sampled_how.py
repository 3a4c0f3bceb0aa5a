"""Masked or full: a file's own mask or trajectory, or a rule that undersamples a full one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import open_volume, write_noncartesian
from deqlab.data.sampling import Sampling, Seeded, describe
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask
from deqlab.signal.sampling.trajectories import Radial


@pytest.fixture
def spokes(tmp_path):
    points = Radial(6).sample((12, 10)).numpy()
    kspace = np.ones((1, len(points)), complex)
    return open_volume(write_noncartesian(tmp_path / "spokes.h5", kspace, points, (12, 10)))


def test_a_full_volume_gets_its_rules_masks(raw_file) -> None:
    sampling = Sampling(open_volume(raw_file(columns=64).path), (EquispacedMask(4, 0.1),))
    sampling.require_undersampling()
    assert int(sampling.mask_of_volume().sum()) == 16
    assert int(sampling.draw(np.random.default_rng(0)).sum()) == 16


def test_a_seed_of_ones_own_is_the_seed(raw_file) -> None:
    rule = RandomMask(3, 0.1)
    for name in ("a.h5", "b.h5"):
        sampling = Sampling(open_volume(raw_file(name, columns=64).path), (Seeded(rule, 7),))
        assert torch.equal(sampling.mask_of_volume(), rule.sample(64, 7))


def test_a_full_volume_without_rules_stays_full_where_that_is_allowed(raw_file) -> None:
    sampling = Sampling(open_volume(raw_file().path))
    assert sampling.mask_of_volume().all() and sampling.draw(np.random.default_rng(0)).all()
    with pytest.raises(InputError, match="volume.h5: is fully sampled .* acceleration is needed"):
        sampling.require_undersampling()


def test_a_mask_of_its_own_is_kept_and_takes_no_other(raw_file, center_mask) -> None:
    mask = center_mask(20)
    volume = open_volume(raw_file(mask=mask).path)
    sampling = Sampling(volume)
    sampling.require_undersampling()
    np.testing.assert_array_equal(sampling.mask_of_volume(), mask)
    sampling.mask_of_volume()[:] = False
    np.testing.assert_array_equal(volume.mask, mask)
    with pytest.raises(InputError, match="volume.h5: is undersampled already"):
        Sampling(volume, (RandomMask(2, 0.3),))


def test_a_trajectory_is_kept_whatever_the_rules(spokes) -> None:
    sampling = Sampling(spokes, (RandomMask(2, 0.3),))
    sampling.require_undersampling()
    assert sampling.mask_of_volume() is None and sampling.draw(np.random.default_rng(0)) is None


def test_it_is_told_in_two_words(raw_file, center_mask, spokes) -> None:
    assert describe(open_volume(raw_file("a.h5").path)) == "full"
    half = open_volume(raw_file("b.h5", mask=np.arange(20) % 2 == 0).path)
    assert describe(half) == "mask, 2.0x"
    assert describe(spokes) == f"trajectory, {120 / spokes.shape[-1]:.1f}x"
