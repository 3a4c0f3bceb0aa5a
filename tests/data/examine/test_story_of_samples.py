"""Masks, holes, trajectories and weights that contradict the samples are told by whatever reads
them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data import SliceDataset, open_volume, write_noncartesian
from deqlab.data.check import check
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate
from deqlab.operators import NDFTOperator
from deqlab.operators.gridding import density_weights
from deqlab.recon import create
from deqlab.signal.sampling.density import ramp
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.sampling.trajectories import GoldenAngles, Radial, Spiral
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import TrainingSlices

from .conftest import SIDE, coil_maps, head, kspace, lines

MASK = lines()
SQUARE = np.repeat(MASK[:, None], SIDE, 1)
POINTS = np.random.default_rng(5).random((SIDE, SIDE)) < 0.4
POINTS[26:38, 26:38] = True
CONTRADICTIONS = {
    "one column off": (MASK, np.roll(MASK, 1), "fits when it is moved by -1 columns"),
    "five columns off": (MASK, np.roll(MASK, -5), "fits when it is moved by 5 columns"),
    "of rows": (MASK, SQUARE, "fits with its rows and columns exchanged"),
    "samples of rows": (SQUARE, MASK, "fits the rows"),
    "of another scan": (MASK, lines(step=3, center=10), "of what was measured needed"),
    "of everything": (MASK, np.ones(SIDE, bool), "of what was measured needed"),
    "two rows off": (POINTS, np.roll(POINTS, 2, 0), "fits when it is moved by -2 rows"),
    "exchanged": (POINTS, POINTS.T.copy(), "fits with its rows and columns exchanged"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_mask_that_the_samples_contradict_is_refused(stored, name: str) -> None:
    sampled, mask, words = CONTRADICTIONS[name]
    path = stored(kspace() * sampled, mask=mask)
    with pytest.raises(InputError, match="kspace and mask contradict each other.*" + words):
        open_volume(path)
    assert any("contradict each other" in defect for defect in check(path))


@pytest.mark.parametrize("mask", [MASK, POINTS], ids=["columns", "points"])
def test_masks_that_fit_pass(stored, told, mask) -> None:
    for data in (kspace() * mask, kspace()):
        assert told(stored(data, mask=mask)) == []
    assert any(
        "samples outside the mask" in defect for defect in check(stored(kspace(), mask=mask))
    )
    # Undersampled already, and by a part of its lines once more: nothing contradicts.
    fewer = MASK & (np.arange(SIDE) < 56)
    assert told(stored(kspace() * MASK, mask=fewer)) == []


def test_a_marked_line_of_zeros_is_told(stored, told) -> None:
    samples = kspace() * MASK
    samples[..., 45] = 0
    assert MASK[45] and any(
        "whole lines that hold only zeros" in t for t in told(stored(samples, mask=MASK))
    )


def test_undersampling_that_nothing_marks_is_refused_by_all(stored) -> None:
    path = stored(kspace() * MASK)
    words = "scan.h5: slice 1: .*% of kspace is exactly zero but there is no `mask`"
    with pytest.raises(InputError, match=words):
        open_volume(path)
    with pytest.raises(InputError, match=words):
        SliceDataset(path)
    with pytest.raises(InputError, match=words):
        evaluate({"zero": create("zero-filled")}, [path], Conditions((4,)))
    with pytest.raises(InputError, match=words):
        TrainingSlices([path], TrainingConfig(model="de-grad"))


def test_a_slice_is_examined_when_it_is_first_read(stored) -> None:
    """Only the middle one is when the file is opened."""
    samples = kspace()
    samples[2] *= MASK
    dataset = SliceDataset(stored(samples), RandomMask(2, 0.2))
    assert dataset[0].kspace.any()
    with pytest.raises(InputError, match="slice 2: .* exactly zero"):
        dataset[2]


def test_rounding_errors_in_place_of_zeros_are_told(stored, told) -> None:
    images = np.fft.ifft2(kspace() * MASK)
    (said, *_) = told(stored(np.fft.fft2(images)))
    assert "columns of kspace hold next to nothing between others" in said


def test_a_mask_in_another_file_is_refused_by_notebooks(stored) -> None:
    volume = open_volume(stored(kspace() * MASK, mask=MASK))
    with pytest.raises(InputError, match="is undersampled; this notebook needs fully sampled"):
        volume.require("reference", "this notebook")


SHAPE = (SIDE, SIDE)
SPOKES = Radial(60, angles=GoldenAngles()).sample(SHAPE)


def off_grid(points: torch.Tensor = SPOKES) -> np.ndarray:
    """complex (1, coil, samples)."""
    maps = torch.from_numpy(coil_maps())
    return NDFTOperator(points, SHAPE, maps)(torch.from_numpy(head())[None]).numpy()


OFF_GRID = off_grid()


@pytest.mark.parametrize(
    "factor, looks",
    [
        (1, "cycles per pixel, say so in the attribute trajectory_unit"),
        (2 * np.pi, "radians per pixel, say so"),
        (2, "numbers from -1 to 1"),
        (0.256, "about 32 and 32 needed"),  # 1/mm of a field of view of 256 mm
        (2.56, "about 32 and 32 needed"),  # 1/cm
        (256, r"reaches 127.\d+ in ky; cycles per field of view within"),  # 1/m
        (256 * 2 * np.pi, "reaches"),  # radians per metre
    ],
)
def test_a_trajectory_in_another_unit_is_refused(stored, factor: float, looks: str) -> None:
    fields = {"trajectory": SPOKES.numpy() * factor, "ismrmrd_header": None}
    path = stored(OFF_GRID, attrs={"matrix": SHAPE}, **fields)
    with pytest.raises(InputError, match=looks):
        open_volume(path)
    assert check(path)


@pytest.mark.parametrize(
    "unit, factor",
    [
        ("cycles per pixel", 1.0),
        ("radians per pixel", 2 * np.pi),
        ("cycles per field of view", SIDE),
        ("cycles per metre", SIDE / 0.256),
    ],
)
def test_files_and_their_writer_name_one_unit(tmp_path, told, unit: str, factor: float) -> None:
    given = SPOKES.numpy() * factor
    path = write_noncartesian(
        tmp_path / "a.h5", OFF_GRID, given, SHAPE, unit=unit, field_of_view=(256, 256)
    )
    torch.testing.assert_close(open_volume(path).trajectory(0), SPOKES, atol=1e-12, rtol=0)
    assert told(path) == []
    with pytest.raises(InputError, match="within"):
        write_noncartesian(tmp_path / "b.h5", OFF_GRID, SPOKES.numpy() * SIDE, SHAPE)
    with pytest.raises(InputError, match="'cycles per pixels'.*valid"):
        write_noncartesian(tmp_path / "b.h5", OFF_GRID, given, SHAPE, unit="cycles per pixels")


def weights(name: str, points: torch.Tensor) -> torch.Tensor:
    radius = torch.linalg.vector_norm(points, dim=-1).clamp_min(1 / 512)
    own = density_weights(points, SHAPE)
    return {
        "own": own,
        "scaled": 1e5 * own,
        "few steps": density_weights(points, SHAPE, 3),
        "radius": radius,
        "reciprocal": 1 / own.clamp_min(1e-3),
        "square": own**2,
        "ones": torch.ones_like(own),
        "squared radius": radius**2,
    }[name]


TRAJECTORIES = {
    "radial": SPOKES,
    "spiral": Spiral(12).sample(SHAPE),
    "few": Radial(20).sample(SHAPE),
}


@pytest.mark.parametrize("choice", TRAJECTORIES)
@pytest.mark.parametrize("name", ["own", "scaled", "few steps", "radius"])
def test_weights_that_fit_are_used(tmp_path, told, choice: str, name: str) -> None:
    points = TRAJECTORIES[choice]
    given = weights(name, points).numpy()
    path = write_noncartesian(
        tmp_path / "a.h5", off_grid(points), points.numpy(), SHAPE, density=given
    )
    assert told(path) == []
    np.testing.assert_array_equal(open_volume(path).density(0), given)


@pytest.mark.parametrize("choice", TRAJECTORIES)
@pytest.mark.parametrize("name", ["reciprocal", "square", "ones", "squared radius"])
def test_weights_that_contradict_are_told_and_left_out(tmp_path, choice: str, name: str) -> None:
    points = TRAJECTORIES[choice]
    samples, given = off_grid(points), weights(name, points).numpy()
    path = write_noncartesian(tmp_path / "a.h5", samples, points.numpy(), SHAPE, density=given)
    bare = write_noncartesian(tmp_path / "b.h5", samples, points.numpy(), SHAPE)
    with pytest.warns(DeqlabWarning, match="density is not that of the trajectory"):
        sample = SliceDataset(path)[0]
    torch.testing.assert_close(sample.kspace, SliceDataset(bare)[0].kspace)


def test_honest_trajectories_pass(tmp_path, told) -> None:
    for number, points in enumerate((SPOKES, SPOKES / 2, Spiral(4).sample(SHAPE), ramped())):
        path = write_noncartesian(
            tmp_path / f"{number}.h5", off_grid(points), points.numpy(), SHAPE
        )
        assert told(path) == []
    noise = np.random.default_rng(0).standard_normal((*OFF_GRID.shape, 2)) @ (1, 1j)
    assert told(write_noncartesian(tmp_path / "n.h5", noise, SPOKES.numpy(), SHAPE)) == []


def ramped() -> torch.Tensor:
    points = Radial(100).sample(SHAPE)
    assert ramp(points, SHAPE).min() > 0
    return points


def test_samples_in_another_order_than_the_trajectory_are_told(tmp_path, told) -> None:
    shifted = np.roll(OFF_GRID, 40, -1)
    (said,) = told(write_noncartesian(tmp_path / "a.h5", shifted, SPOKES.numpy(), SHAPE))
    assert "the largest sample lies" in said and "in different orders" in said
