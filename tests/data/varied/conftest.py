"""Anatomies that cost nothing: a disc of water with a rim of fat, and one of water alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions
from deqlab.data.varied.draws import Varied, VariedOptions
from deqlab.data.varied.varied_measurements import Measurements

SIZES = Measurements(sizes=(24, 32), pixels=800, coils=(1, 3, 9))


@pytest.fixture(scope="session")
def discs() -> Anatomies:
    y, x = np.mgrid[-1:1:48j, -1:1:40j]
    radius = np.hypot(y, 1.2 * x)
    water = (radius < 0.7) * (0.5 + 0.4 * np.sin(9 * x) * np.cos(7 * y))
    fat = (radius >= 0.7) & (radius < 0.85)
    pairs = [np.stack((water, fat)), np.stack((water, 0 * fat))]
    return Anatomies([pair.astype(np.float16) for pair in pairs])


@pytest.fixture
def varied(discs: Anatomies, monkeypatch: pytest.MonkeyPatch) -> Varied:
    """Draws of 24 to 32 pixels, from discs."""
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: discs)
    return Varied(VariedOptions(measurements=SIZES, window=20))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A ball as a NIfTI file of magnitudes."""
    import nibabel

    z, y, x = np.mgrid[-1:1:20j, -1:1:24j, -1:1:16j]
    ball = (z**2 + y**2 + x**2 < 0.8) * (300 + 100 * np.sin(8 * x))
    path = tmp_path / "ball.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ball.astype(np.int16), np.eye(4)), path)
    return path
