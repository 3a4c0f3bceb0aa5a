"""What `benchmarks/density.py` compares: trainings that differ in density compensation alone, and
volumes measured as files off the grid are.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deqlab.operators import NUFFTOperator
from deqlab.recon import load

Part = Callable[[str], ModuleType]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch, repository: Path) -> Part:
    """A module of the benchmarks by its name."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module


def chosen(out: Path, *only: str) -> argparse.Namespace:
    names = {"steps": 100, "volume_steps": 2, "volume_epoch": 1, "threads": 1, "precision": "32"}
    return argparse.Namespace(out=out, only=only, seeds=[3], anatomy=[], **names)


def test_trainings_differ_in_the_density_alone(
    part: Part, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    density, runs = part("density"), []
    monkeypatch.setattr(density, "finish", runs.extend)
    density.train_planes(chosen(tmp_path, "radial", "spiral"), density.Size())
    assert len({run.card for run in runs}) == 4
    for one, other in (runs[:2], runs[2:]):
        pairs = [(a, b) for a, b in zip(one.words, other.words, strict=True) if a != b]
        out = tuple(str(run.card.parent) for run in (one, other))
        assert pairs == [("density=none", "density=pipe"), out]
    planes = [(a, b) for a, b in zip(runs[0].words, runs[2].words) if a != b]
    assert planes[0] == ("data.measurements.radial=1", "data.measurements.radial=0")


def test_a_volume_is_the_measurement_of_its_reference(part: Part) -> None:
    """Up to what the maps miss, at twice Nyquist's rate and without noise."""
    volumes = part("head_volumes").HeadVolumes(0, range(1), 16, (0.5,), noise=(1e-9, 1e-9))
    batch = volumes.batch(1, 0)
    A, reference = batch.operator, batch.known("reference")
    assert isinstance(A, NUFFTOperator) and reference.shape == (1, 16, 16, 16)
    assert (A(reference) - batch.kspace).norm() < 0.05 * batch.kspace.norm()
    projection = A.H(batch.kspace) / A.gain.float()
    assert (projection - reference).norm() < 0.25 * reference.norm()


def test_draws_of_volumes_repeat_and_differ(part: Part) -> None:
    volumes = part("head_volumes").HeadVolumes(0, range(2), 16, (4.0, 8.0))
    first, again, second = (volumes.sample(step).kspace for step in (0, 0, 1))
    other = part("head_volumes").HeadVolumes(1, range(2), 16, (4.0, 8.0)).sample(0).kspace
    assert torch.equal(first, again)
    assert not any(one.shape == first.shape and torch.equal(one, first) for one in (second, other))


def test_volumes_are_trained_once_and_their_cards_loaded(part: Part, tmp_path: Path) -> None:
    density = part("density")
    how = chosen(tmp_path, "radial-3d")
    density.train_volumes(how, density.QUICK)
    written = {}
    for name in density.DENSITIES:
        path = density.folder(how, "radial-3d", name, 3) / "ncpdnet.safetensors"
        written[path] = path.stat().st_mtime_ns
        assert load(path).options.dimensions == 3
    density.train_volumes(how, density.QUICK)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_lines_show_each_seed_and_all_of_them(part: Part) -> None:
    def scores(adjoint: float, none: float, pipe: float) -> dict[str, np.ndarray]:
        return {"adjoint": np.full(3, adjoint), "none": np.full(3, none), "pipe": np.full(3, pipe)}

    one, two, both = part("density").lines("spiral", {0: scores(20, 21, 25), 1: scores(20, 22, 25)})
    assert one[:6] == ["spiral", "0", "3", "20.00", "21.00", "25.00"]
    assert one[6:] == ["+4.00 [+4.00, +4.00]", "+5.00 [+5.00, +5.00]"]
    assert two[6].startswith("+3.00 [") and both[1] == "all"
    assert both[6] == "+3.50 [+3.00, +4.00]"
