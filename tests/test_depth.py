"""What `benchmarks/depth.py` compares: networks of about as many parameters, an equilibrium of
exactly as many evaluations, and bytes that grow with the depth where they must.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from deqlab.equilibrium import JacobianFree


@pytest.fixture
def depth(monkeypatch: pytest.MonkeyPatch, repository: Path) -> ModuleType:
    """The benchmark; how long a step takes is not what is asked here."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    module = importlib.import_module("depth")
    monkeypatch.setattr(module, "ratios", lambda *_, **__: {"ratio": 2.0})
    return module


@pytest.mark.parametrize("steps", [5, 20])
def test_networks_have_about_the_parameters_that_are_asked_for(
    depth: ModuleType, steps: int
) -> None:
    for name in depth.OF_WIDTH:
        found = depth.of_about(400_000, name, steps)
        assert found.depth == steps
        assert depth.parameters(found) == pytest.approx(400_000, rel=0.1), name


def test_the_equilibrium_takes_every_evaluation(depth: ModuleType) -> None:
    scan = depth.Scan.of(depth.QUICK)
    for count in depth.QUICK.depths:
        model = depth.equilibrium(depth.QUICK, count, JacobianFree())
        assert int(model.solve(scan.kspace, scan.A).evaluations) == count


def test_bytes_grow_with_unrolled_steps_alone(depth: ModuleType) -> None:
    few, many = (dict(depth.costs(depth.QUICK, count)) for count in (2, 6))
    free = "de-grad-measured, Jacobian-free"
    assert few[free].time == 1.0 and few["modl"].time == 2.0
    assert few["modl"].parameters == few[free].parameters == many[free].parameters
    assert many[free].saved == few[free].saved
    assert many["modl"].saved > 2.5 * few["modl"].saved
    assert many["modl, checkpoints"].saved is None
    assert many["modl, checkpoints"].allocated < 0.7 * many["modl"].allocated


def test_the_report_has_a_line_for_each_method(depth: ModuleType) -> None:
    mebibytes = [depth.Cost(1000, 1.0, 2 * 2**20, 4 * 2**20), depth.Cost(2000, 3.0, None, 2**20)]
    text = depth.report({"one": mebibytes[:1], "two": mebibytes[1:]}, (5,))
    first, second = text.splitlines()[2:]
    assert [cell.strip() for cell in first.split("|")[1:-1]] == [
        "one",
        "1k",
        "1.00",
        "4 (1.00)",
        "2 (1.00)",
    ]
    assert [cell.strip() for cell in second.split("|")[3:-1]] == ["3.00", "1 (0.25)", "-"]
