"""A spike is named with its place, and moves nothing; scans and objects of many kinds have none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deqlab.data import open_volume, write_noncartesian
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.examine.standing_out import FACTOR, standing_out
from deqlab.data.simulated import SimulationConfig, simulate_volume
from deqlab.signal.sampling.trajectories import Radial

from .conftest import SIDE, header, kspace, lines, transform

pytestmark = pytest.mark.filterwarnings("ignore::deqlab.core.errors.DeqlabWarning")


def spiked(at: tuple[int, ...], factor: float = 30, **given) -> np.ndarray:
    """`kspace(...)` with one sample of so many times the largest, at (slice, coil, row, column)."""
    samples = kspace(**given)
    samples[at] += factor * abs(samples).max()
    return samples


@pytest.mark.parametrize(
    "at", [(1, 2, 3, 4), (0, 0, 0, 0), (2, 3, 63, 33), (1, 1, 32, 45), (1, 0, 20, 31)]
)
@pytest.mark.parametrize("factor", [0.3, 30])
def test_a_spike_is_named_and_moves_nothing(stored, told, at, factor: float) -> None:
    samples = spiked(at, factor)
    for mask in (None, lines(), np.tile(lines(), (SIDE, 1))):
        mask = mask if mask is None else mask | (np.arange(SIDE) == at[-1])
        data = samples if mask is None else samples * mask
        path = stored(data, **({} if mask is None else {"mask": mask}))
        (said,) = told(path)
        assert f"slice {at[0]}: coil {at[1]}, row {at[2]}, column {at[3]}: the sample is" in said
        assert "leave that column out of the mask" in said
        np.testing.assert_array_equal(open_volume(path).kspace(0), data[0])


def test_the_factor_is_that_of_the_surroundings() -> None:
    samples = kspace(noise=1.0)[0]
    samples[1, 5, 7] = 1000
    (found,) = SeenSlice(0, samples).spikes
    around = np.delete(np.abs(samples[1, 3:8, 5:10]).ravel(), 12)
    assert (found.coil, found.at) == (1, 5 * SIDE + 7)
    opposite = [(59, 57), (58, 57), (60, 57), (59, 56), (59, 58)]
    bound = max(np.sort(around)[-3], *(abs(samples[1][place]) for place in opposite))
    assert found.factor == pytest.approx(abs(samples[1, 5, 7]) / bound, rel=1e-4)


def test_several_spikes_are_counted_and_pairs_are_seen(stored, told) -> None:
    samples = kspace(slices=1)
    for row, column in ((3, 4), (3, 5), (50, 9), (10, 50), (60, 40)):
        samples[0, 1, row, column] = 500
    said = told(stored(samples))
    assert len(said) == 3 and all("(2 more like it)" in line for line in said)


def test_an_echo_beside_the_middle_is_still_brought_there(stored, told) -> None:
    samples = np.roll(spiked((1, 2, 3, 4)), (5, -9), (-2, -1))
    path = stored(samples)
    said = told(path)
    assert len(said) == 3 and "row 37" in said[0] + said[1] and "column 23" in said[0] + said[1]
    np.testing.assert_array_equal(open_volume(path).kspace(0), kspace()[0])


def radial(tmp_path: Path, samples: np.ndarray, points) -> Path:
    return write_noncartesian(tmp_path / "radial.h5", samples, points.numpy(), (SIDE, SIDE))


def test_off_the_grid_the_sample_is_named(tmp_path, told) -> None:
    points = Radial(48).sample((SIDE, SIDE))
    radius = np.linalg.norm(points.numpy() * SIDE, axis=1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1, 4, len(points), 2)) @ [1, 1j]
    samples = (100 / (1 + radius) ** 1.5 + 0.05 * noise).astype(np.complex64)
    assert told(radial(tmp_path, samples, points)) == []
    at = int(np.flatnonzero(radius > 20)[100])
    samples[0, 2, at] = 40
    (said,) = told(radial(tmp_path, samples, points))
    assert f"slice 0: coil 2, sample {at}: the sample is" in said


Y, X = np.meshgrid(*2 * [np.linspace(-1, 1, 128)], indexing="ij")
DISC = 1.0 * (X**2 + Y**2 < 0.6)
OBJECTS = {
    "square": 1.0 * (abs(X) < 0.5) * (abs(Y) < 0.5),
    "nearly the whole field": 1.0 * (abs(X) < 0.9) * (abs(Y) < 0.9),
    "the whole field": np.ones_like(X),
    "disc": DISC,
    "dot": 1.0 * (X**2 + Y**2 < 1e-3),
    "grating": DISC * (1 + np.cos(60 * X)),
    "tags": DISC * abs(np.cos(30 * X) * np.cos(30 * Y)),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3])
def test_objects_of_any_shape_pass(name: str, noise: float) -> None:
    rng = np.random.default_rng(1)
    image = OBJECTS[name] + noise * (rng.standard_normal((*X.shape, 2)) @ [1, 1j])
    samples = transform(image)[None].astype(np.complex64)
    sparse = samples * (rng.random(X.shape) < 0.3)
    # Of a field that is filled evenly the echo is one sample, which has to be where it belongs.
    shifted = samples if name == "the whole field" else np.fft.ifftshift(samples, (-2, -1))
    for data in (samples, samples * lines(128), shifted, sparse):
        assert SeenSlice(0, data).spikes == []


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("coils", [2, 6])
def test_simulated_heads_and_noise_pass(noise: float, coils: int) -> None:
    config = SimulationConfig(matrix=64, coils=coils, slices=2, noise=noise)
    rng = np.random.default_rng(2)
    empty = (rng.standard_normal((coils, 96, 64, 2)) @ [1, 1j]).astype(np.complex64)
    for samples in (*simulate_volume(config, "test", 0), empty, np.zeros_like(empty)):
        assert SeenSlice(0, samples).spikes == []
        assert SeenSlice(0, samples * lines()).spikes == []


def test_too_few_samples_have_no_surroundings() -> None:
    points = np.stack([np.arange(20.0), np.zeros(20)], 1)
    assert standing_out(1 + 99.0 * (points[None, :, 0] == 9), points) == []


REAL = os.environ.get("DEQLAB_REAL_DATA")


@pytest.mark.skipif(REAL is None, reason="DEQLAB_REAL_DATA names no folder of measured scans")
def test_a_measured_radial_scan_passes() -> None:
    scan = np.load(Path(str(REAL)) / "phantom_radial_33spokes_17ch_3orientations.npy")
    angle, along = 2 * np.pi * np.arange(33) / 33, 128 - np.arange(256.0)
    points = np.stack([np.outer(np.sin(angle), along), np.outer(np.cos(angle), along)], -1)
    for orientation in np.abs(scan):
        sizes = orientation.swapaxes(0, 1).reshape(17, -1)
        assert standing_out(sizes, points.reshape(-1, 2)) == []
        sizes[3, 100] = FACTOR * 3 * sizes[3, 90:110].max()
        assert [(one.coil, one.at) for one in standing_out(sizes, points.reshape(-1, 2))] == [
            (3, 100)
        ]


def test_a_header_that_fits_and_spikes_are_two_stories(stored, told) -> None:
    path = stored(spiked((1, 0, 5, 5), coils=1), ismrmrd_header=header(receivers=1))
    assert len(told(path)) == 1
