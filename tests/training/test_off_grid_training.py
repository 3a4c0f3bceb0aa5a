"""A network learns from k-space off the grid: from files that have a reference, and from draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deqlab.app.cli import main
from deqlab.data.formats.write_trajectory import write_noncartesian
from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions
from deqlab.operators import NUFFTOperator
from deqlab.recon import load
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.trajectories import Radial

SMALL = "--set iterations=2 --set primal=2 --set width=4 --epochs 1 --steps-per-epoch 3"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two slices, two coils, spokes; coil images beside them."""
    shape = (20, 18)
    y, x = np.mgrid[-1:1:20j, -1:1:18j]
    disc = torch.from_numpy((np.hypot(y, x) < 0.7) * (1 + 0.3 * np.sin(5 * x)))
    coil_images = simulate_coil_maps(2, shape, 0) * torch.stack((disc, 2 * disc))[:, None]
    coil_images = coil_images.to(torch.complex64)
    points = Radial(9).sample(shape)
    F = NUFFTOperator(points, shape)
    kspace = torch.stack([F(images)[:, 0] for images in coil_images])
    path = tmp_path / "spokes.h5"
    return write_noncartesian(
        path, kspace.numpy(), points.numpy(), shape, reference=coil_images.numpy()
    )


@pytest.mark.parametrize("data", ["file", "draws"])
def test_ncpdnet_is_trained_from_the_shell(
    file: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    pair = np.stack((np.hypot(y, x) < 0.8, 0 * x)).astype(np.float16)
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: Anatomies([pair]))
    words = ["--data", str(file)]
    if data == "draws":
        words = ["--data", "varied", "--set", "data.measurements=off-grid"]
        words += ["--set", "data.measurements.sizes=20,", "--set", "data.measurements.coils=2,"]
    out = tmp_path / "run"
    words += [*SMALL.split(), "--set", "density=none", "--device", "cpu", "--out", str(out)]
    assert main(["train", "--model", "ncpdnet", *words]) == 0
    card = json.loads((out / "ncpdnet.json").read_text())
    assert card["options"]["density"] == {"name": "none"}
    assert card["history"][0]["skipped"] == 0 and card["history"][0]["gradient"] > 0
    if data == "draws":
        assert card["data"]["varied"]["measurements"]["name"] == "off-grid"
    assert type(load(out / "ncpdnet.json")).__name__ == "NCPDNet"
