"""`deqlab data look`: what is in a file, in words and on one page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deqlab.app.look_file import look_at
from deqlab.data import write_noncartesian, write_volume
from deqlab.signal.sampling.trajectories import Radial

LEVELS = np.array([1, 2, 1, 1])[:, None, None] * 0.02


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Three slices of a narrow object seen by four coils, the second one twice as noisy."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[-1:1:64j, -1:1:48j]
    head = np.exp(-((y / 0.25) ** 2) - (x / 0.5) ** 2)
    turns = np.arange(4)[:, None, None] * np.pi / 2
    coils = head * np.exp(0.5 * (x * np.cos(turns) + y * np.sin(turns)) + 1j * turns)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(coils, (1, 2)), norm="ortho"), (1, 2))
    kspace = kspace + LEVELS * (rng.standard_normal((3, 4, 64, 48, 2)) @ (1, 1j)) / np.sqrt(2)
    return write_volume(tmp_path / "scan.h5", kspace.astype(np.complex64), "AXT2", (64, 48))


def test_a_file_is_told_and_drawn(any_command, scan: Path, tmp_path: Path) -> None:
    status, output, errors = any_command("data", "look", scan, tmp_path / "page.png")
    assert (status, errors) == (0, [])
    lines = [line.strip() for line in output.splitlines()]
    assert lines[0] == f"{scan}:" and lines[-1] == f"page: {tmp_path / 'page.png'}"
    assert "format: fastmri" in lines and "sampling: full" in lines and "contrast: AXT2" in lines
    assert "k-space: 3x4x64x48 (slices, coils, rows, columns), complex64" in lines
    assert any(line.startswith("coil maps: espirit") for line in lines)
    with Image.open(tmp_path / "page.png") as page:
        assert page.size[0] > 700


def test_the_noise_is_that_which_was_added(scan: Path) -> None:
    found = look_at(scan)
    (line,) = (line for line in found.lines if line.startswith("noise: of air"))
    low, high = line.split("deviation ")[1].split(" from")[0].split(" to ")
    assert 0.018 < float(low) < 0.022 and 0.036 < float(high) < 0.044
    titles = [axes.get_title() for axes in found.figure.axes]
    assert titles[2] == "|noise covariance| of coils" and "map 3" in titles[-1]
    covariance = np.asarray(found.figure.axes[2].images[0].get_array())
    assert 3 < covariance[1, 1] / np.delete(np.diagonal(covariance), 1).mean() < 5


def test_the_slice_is_the_one_asked_for(any_command, scan: Path, monkeypatch) -> None:
    monkeypatch.chdir(scan.parent)
    assert look_at(scan).slice == 1 and look_at(scan, 0).slice == 0
    assert any_command("data", "look", "scan.h5", "--slice", 2)[0] == 0
    assert Path("scan_look.png").exists()
    for words, told in (
        (("--slice", 3), "scan.h5: has no slice 3"),
        (("--slice", -1), "--slice"),
        (("page.jpg",), "page.jpg: a name that ends in .png or .pdf or .svg needed"),
        (("--axes", "y,x"), "--axes: y,x given, but scan.h5 is in the format fastmri"),
    ):
        status, _, errors = any_command("data", "look", "scan.h5", *words)
        assert status == 2 and told in errors[-1], errors


def test_a_mask_and_a_trajectory_are_drawn(scan: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mask = np.arange(48) % 3 == 0
    mask[18:30] = True
    samples = (rng.standard_normal((1, 2, 64, 48, 2)) @ (1, 1j)).astype(np.complex64)
    samples[..., 32, 24] += 90
    masked = write_volume(tmp_path / "masked.h5", samples * mask, "AXT2", (64, 48), mask=mask)
    look = look_at(masked)
    assert "sampling: mask, 2.0x" in look.lines
    assert look.figure.axes[2].get_title().startswith("mask, ")

    trajectory = Radial(20).sample((24, 24)).numpy()
    spokes = np.ones((1, 2, len(trajectory)), np.complex64)
    path = write_noncartesian(tmp_path / "spokes.h5", spokes, trajectory, (24, 24))
    look = look_at(path)
    assert "where it was sampled" in look.figure.axes[1].get_title()
    assert any(line.startswith("sampling: trajectory, ") for line in look.lines)
    assert "noise: not found beside the signal" in look.lines
