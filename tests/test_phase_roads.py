"""What `benchmarks/phase_roads.py` compares: networks of one size on the same draws, an image's own
phase taken out of some, and rows that say what was measured.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deqlab.data import write_volume
from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions
from deqlab.recon import Budget
from deqlab.signal.transforms.fourier import fft2c

Part = Callable[[str], ModuleType]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path) -> Part:
    """A module of the benchmarks by its name, with anatomies of one disc with a rim of fat, and
    with a cache of the test's own.
    """
    monkeypatch.syspath_prepend(repository / "benchmarks")
    monkeypatch.setenv("DEQLAB_CACHE", str(tmp_path / "cache"))
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    radius = np.hypot(y, x)
    pair = np.stack((radius < 0.6, (radius >= 0.6) & (radius < 0.8))).astype(np.float16)
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: Anatomies([pair]))
    return importlib.import_module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One fully sampled scan of 32x40 pixels and three coils, of two tissues and a phase."""
    y, x = np.mgrid[-1:1:32j, -1:1:40j]
    image = (y**2 + (x / 0.8) ** 2 < 0.6) * np.exp(1j * x)
    image = image + 0.5j * ((y - 0.2) ** 2 + x**2 < 0.1)
    maps = [np.exp(-((y - a) ** 2) - (x - b) ** 2) for a, b in ((1, 0), (-1, 1), (0, -1))]
    kspace = fft2c(torch.from_numpy(image * np.array(maps))).numpy()
    noise = np.random.default_rng(0).standard_normal((*kspace.shape, 2)) @ (0.01, 0.01j)
    write_volume(tmp_path / "scan.h5", (kspace + noise)[None], "AXT1", (32, 40))
    return tmp_path


def test_all_roads_have_about_as_many_parameters(part: Part) -> None:
    roads = part("scans.roads")
    counts = {
        name: sum(p.numel() for p in roads.Training().config(road).build().denoiser.parameters())
        for name, road in roads.ROADS.items()
    }
    assert all(count == pytest.approx(200_000, rel=0.05) for count in counts.values()), counts


def test_turned_windows_are_the_plain_ones_but_for_a_smooth_phase(part: Part) -> None:
    training = replace(part("phase_roads").QUICK_TRAINING, window=24)
    plain, turned = training.varied(), training.varied(turned=True)
    errors = []
    for step in range(4):
        one, other = (draws.window(0, step, 1) for draws in (plain, turned))
        image = other.known("reference")
        torch.testing.assert_close(image.abs(), one.known("reference").abs())
        torch.testing.assert_close(other.operator(image[None])[0], other.kspace)
        errors.append(image.angle()[image.abs() > 0.1])
        again = turned.window(0, step, 1).known("reference")
        assert torch.equal(again, image)
    # Radians: of a smooth field of about unit variance times 0.5 at most.
    assert 0.02 < float(torch.cat(errors).abs().mean()) < 0.5
    assert all(float(error.abs().max()) < 2 for error in errors)


def test_a_run_that_is_done_is_read(part: Part, tmp_path: Path) -> None:
    """Joint and reference share their network, and nobody else's."""
    roads, training = part("scans.roads"), part("phase_roads").QUICK_TRAINING
    training = replace(training, steps=2, epoch=1)
    found = {
        name: roads.learned(roads.ROADS[name], training, tmp_path / "runs")
        for name in ("plain", "joint", "reference")
    }
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert found["joint"][1] == found["reference"][1] != found["plain"][1]
    first, second, third = (
        torch.cat([p.flatten() for p in denoiser.parameters()]) for denoiser, _ in found.values()
    )
    assert torch.equal(second, third) and not torch.equal(first, second)


def test_every_road_is_judged(
    part: Part, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = part("phase_roads")
    monkeypatch.setattr(part("scans.judging"), "TIGHT", Budget(1e-3, 5))
    scans = list(part("scans.cases").fully_sampled(folder))
    training = replace(module.QUICK_TRAINING, steps=2, epoch=1)
    roads = part("scans.roads").ROADS
    rows = list(module.compare(list(roads), training, module.QUICK, scans, None))
    assert [row.group for row in rows] == [*roads, "tv", *roads]
    assert all(math.isfinite(value) for row in rows for value in row.values.values())
    networks, (tv, *cases) = rows[: len(roads)], rows[len(roads) :]
    for network, case in zip(networks, cases):
        assert network.values["parameters"] > 1000
        assert 0 < case.values["R(t)"] < 1 and 0 < case.values["R(|t|)"] < 1
        assert case.values["over tv"] == case.values["PSNR"] - tv.values["PSNR"]
    text = module.summary(rows, module.QUICK.accelerations)
    assert all(f"| {name} " in text for name in roads)
    assert f"{cases[0].values['PSNR']:.2f} ({cases[0].values['over tv']:+.2f})" in text


def test_the_best_of_the_ladder_is_told(part: Part, folder: Path) -> None:
    """And the denoiser is judged at that level."""
    module, roads = part("phase_roads"), part("scans.roads")
    (scan,) = part("scans.cases").fully_sampled(folder)
    case, asked = part("scans.cases").Case(scan, 4.0), []
    denoiser = module.QUICK_TRAINING.config(roads.ROADS["plain"]).build().denoiser
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    method = roads.equilibrium(roads.ROADS["plain"], denoiser.requires_grad_(False))
    ladder = module.Ladder((0.01, 0.5), (0.1, 1.0), (4.0,), 1)
    best = module.judged(case, method, ladder)
    for level in ladder.levels:
        for weight in ladder.weights:
            one = module.Ladder((level,), (weight,), (4.0,), 1)
            asked.append(module.judged(case, method, one))
    top = max(asked, key=lambda found: found["PSNR"])
    assert {key: best[key] for key in ("PSNR", "level", "weight", "R(t)", "R(|t|)")} == {
        key: top[key] for key in ("PSNR", "level", "weight", "R(t)", "R(|t|)")
    }
    assert best["converged"] == pytest.approx(sum(found["converged"] for found in asked) / 4)
