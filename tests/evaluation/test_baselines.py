"""Baselines: the best of their weights, found once and kept under what it depends on; beside the
models in every table unless somebody says none.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.data.sample import collate
from deqlab.evaluation import baselines as classical
from deqlab.evaluation.baselines import COARSE, Baseline, baselines, named, tuned
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate, judge, slices_of
from deqlab.recon import create
from deqlab.recon.base import Budget
from deqlab.signal.coils.walsh import Walsh

FOUR = Conditions(acceleration=(4,))


@pytest.fixture
def heads(tiny_data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Small heads in the place of the built-in ones, and a cache of their own."""
    monkeypatch.setenv("DEQLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classical, "builtin", lambda split, cache: tiny_data["train"])
    monkeypatch.setattr(classical, "SLICES", [0])
    return tiny_data["train"]


@pytest.mark.parametrize("name", list(COARSE))
def test_the_best_of_all_lies_between_others(name: str, tiny_data) -> None:
    volume = slices_of(tiny_data["test"][0], FOUR, 4)
    data = [collate([volume[0]])]
    found = tuned(name, data)
    weights = [trial.options["weight"] for trial in found.trials]
    assert weights == sorted(weights) == found.grid["weight"] and not found.at_edge
    assert set(COARSE[name]) < set(weights)
    scores = {
        weight: judge("", create(name, weight=weight), data[0], 4).scores["psnr"]
        for weight in weights
    }
    best = found.options["weight"]
    assert best == max(scores, key=scores.__getitem__)
    coarse = max(COARSE[name], key=scores.__getitem__)
    assert {coarse / 2, coarse, coarse * 2} <= set(weights)


def test_what_was_found_is_kept_under_what_it_depends_on(heads, monkeypatch) -> None:
    names = ["cg-sense", "tv"]
    found = baselines(names, FOUR, 4)
    assert [one.name for one in found] == names
    assert all(one.method.weight == one.weight for one in found)
    labels: list[str] = []

    def no_tuning(name: str, *_: object, **__: object) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(classical, "tuned", no_tuning)
    assert baselines(names, FOUR, 4, progress=labels.append) == found
    assert labels == ["tuning cg-sense 4x", "tuning tv 4x"]
    # Neither the slices nor the seed of what is judged is that of the heads; stored maps fit no
    # head.
    for same in ({"slices": [1]}, {"seed": 3}, {"coil_maps": StoredMaps(Path("maps.h5"))}):
        assert baselines(names, Conditions((4,), **same), 4) == found
    for other in ({"coil_maps": Walsh()}, {"mask": "equispaced"}, {"center_fraction": 0.2}):
        with pytest.raises(RuntimeError, match="cg-sense"):
            baselines(names, Conditions((4,), **other), 4)
    with pytest.raises(RuntimeError):
        baselines(names, FOUR, 5)


@pytest.mark.parametrize(
    "words, expected",
    [
        (["tv", "wavlet"], ["'wavlet'", "did you mean wavelet?"]),
        (["none", "tv"], ["'none'", "none alone"]),
        (["de-grad"], ["'de-grad'", "cg-sense, wavelet, tv"]),
    ],
)
def test_what_is_no_baseline_is_named(words: list[str], expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        named(words)
    assert all(word in str(error.value) for word in expected)
    assert named(["none"]) == [] and named(["tv", "cg-sense", "tv"]) == ["tv", "cg-sense"]


def test_a_weight_at_the_end_of_its_grid_is_told() -> None:
    assert str(Baseline("tv", 0.064, at_edge=True)) == "tv 0.064 (the last one tried)"
    assert str(Baseline("tv", 0.002)) == "tv 0.002"


def test_each_acceleration_has_its_own_and_no_budget_is_theirs(tiny_data) -> None:
    own = {4.0: {"tuned": create("cg-sense", weight=0.1)}}
    rows = evaluate(
        {"sense": create("cg-sense")},
        tiny_data["test"][:1],
        Conditions((4, 8), slices=[0]),
        baselines=own,
        budget=Budget(max_evaluations=1),
    )
    assert [(row.acceleration, row.method) for row in rows] == [
        (4.0, "sense"),
        (4.0, "tuned"),
        (8.0, "sense"),
    ]
    assert rows[0].evaluations == [1] and rows[1].evaluations[0] > 1 and rows[1].converged == [True]


def test_the_shell_puts_them_into_the_table(heads, tiny_data, tmp_path: Path, capsys) -> None:
    source, table = str(tiny_data["test"][0]), tmp_path / "table.json"
    words = ["--model", "zero-filled", "--data", source, "--acceleration", "4", "--slices", "0"]
    words += ["--coil-maps", "lowres", "--whiten", "none", "--json", str(table)]
    assert main(["evaluate", *words]) == 0
    shown = capsys.readouterr().out.splitlines()
    written = json.loads(table.read_text())
    found = {one.name: one.weight for one in baselines(list(COARSE), FOUR, 4)}
    assert written["baselines"] == {"4": found} and set(found) == set(COARSE)
    assert shown[0].startswith("weights tuned at 4x: cg-sense ")
    methods = ["zero-filled", *(f"tuned {name}" for name in COARSE)]
    assert [row["method"] for row in written["rows"]] == methods
    assert main(["evaluate", *words, "--baselines", "tv"]) == 0
    assert [row["method"] for row in json.loads(table.read_text())["rows"]] == [
        "zero-filled",
        "tuned tv",
    ]
    capsys.readouterr()
    assert main(["evaluate", *words, "--baselines", "none"]) == 0
    assert "tuned" not in capsys.readouterr().out
    assert [row["method"] for row in json.loads(table.read_text())["rows"]] == ["zero-filled"]
    assert main(["evaluate", *words, "--baselines", "tvv"]) == 2
    assert "did you mean tv?" in capsys.readouterr().err
