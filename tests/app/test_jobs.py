"""What the headless runner refuses before anything runs: names, parameters, contradictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deqlab.app import jobs
from deqlab.app.cli import main
from deqlab.app.parameters import read_parameters
from deqlab.core.errors import InputError


def plan(words: list[str], *settings: tuple[str, str], budget: str | None = None) -> list[jobs.Job]:
    return jobs.plan(jobs.find_notebooks(words), list(settings), budget)


# Which notebooks ------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stems"),
    [
        ([], ["01_see", "08_find_the_point", "15_judge"]),
        (["8"], ["08_find_the_point"]),
        (["15", "01"], ["15_judge", "01_see"]),
        (["08_find_the_point"], ["08_find_the_point"]),
        (["notebooks/15_judge.ipynb", "1"], ["15_judge", "01_see"]),
    ],
)
def test_notebooks_are_found(study: Path, words: list[str], stems: list[str]) -> None:
    assert [path.stem for path in jobs.find_notebooks(words)] == stems


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["5"], "no notebook `5` .* it holds 01_see, 08_find_the_point, 15_judge"),
        (["01_sea"], "did you mean 01_see?"),
        (["point"], "did you mean 08_find_the_point?"),
        (["nowhere.ipynb"], "nowhere.ipynb: no such notebook"),
    ],
)
def test_unknown_notebooks_are_refused(study: Path, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        jobs.find_notebooks(words)


def test_ambiguous_number_is_refused(study: Path, write_notebook) -> None:
    write_notebook(study / "notebooks" / "08_other.ipynb")
    with pytest.raises(
        InputError, match="`8` names several notebooks: 08_find_the_point, 08_other"
    ):
        jobs.find_notebooks(["8"])


def test_empty_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("deqlab", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "deqlab" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="notebooks: holds no notebook"):
        jobs.find_notebooks([])


def test_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "__file__", str(tmp_path / "site" / "deqlab" / "app" / "jobs.py"))
    with pytest.raises(InputError, match="no folder `notebooks`"):
        jobs.find_notebooks([])


# Which parameters ------------------------------------------------------------


def test_parameters_are_read(study: Path) -> None:
    found = read_parameters(Path("notebooks/01_see.ipynb"))
    assert {name: (p.type, p.default, p.choices) for name, p in found.items()} == {
        "seed": ("int", 0, ()),
        "rate": ("float", 1.5, ()),
        "loss": ("str", "l1", ("l1", "l2")),
        "acceleration": ("int", 4, (4, 8)),
        "budget": ("str", "quick", ("quick", "full")),
        "verbose": ("bool", False, ()),
        "sizes": ("list[int]", [1, 2], ()),
        "note": ("str", "a | b", ()),
    }
    assert found["seed"].help == "of every draw"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "-3", -3),
        ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0),
        ("loss", "l2", "l2"),
        ("acceleration", "8", 8),
        ("verbose", "true", True),
        ("verbose", "No", False),
        ("sizes", "[3]", [3]),
        ("note", "any", "any"),
    ],
)
def test_values_take_the_declared_type(study: Path, name: str, text: str, value: object) -> None:
    (job,) = plan(["1"], (name, text))
    assert job.values == {name: value} and type(job.values[name]) is type(value)
    assert job.effective[name] == value and len(job.effective) == 8


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sed", "3", "no parameter `sed` in 01_see, did you mean seed?"),
        ("zzz", "3", "no parameter `zzz` in 01_see; there are .*seed"),
        ("depth", "3", "no parameter `depth`"),  # another notebook's
        ("seed", "1.5", "seed cannot be `1.5`: it must be a whole number"),
        ("rate", "fast", "rate cannot be `fast`: it must be a number"),
        ("rate", "nan", "rate cannot be `nan`: it must be a finite number"),
        ("loss", "l3", r"it must be one of l1 \| l2, did you mean l[12]\?"),
        ("acceleration", "6", r"it must be one of 4 \| 8"),
        ("verbose", "maybe", "verbose cannot be `maybe`: it must be true or false"),
        ("sizes", "3", r"it must be a list\[int\]"),
    ],
)
def test_wrong_values_are_refused(study: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(["1"], (name, text))


def test_value_goes_to_those_that_have_it(study: Path) -> None:
    planned = plan([], ("seed", "7"), ("depth", "4"), budget="full")
    assert [job.values for job in planned] == [{"seed": 7, "budget": "full"}, {"depth": 4}, {}]


def test_contradictions_are_refused(study: Path, write_notebook) -> None:
    with pytest.raises(InputError, match="set twice"):
        plan(["1"], ("seed", "1"), ("seed", "2"))
    with pytest.raises(InputError, match="--budget quick contradicts -p budget full"):
        plan(["1"], ("budget", "full"), budget="quick")
    other = write_notebook(study / "elsewhere" / "01_see.ipynb")
    with pytest.raises(InputError, match="two notebooks are called 01_see"):
        plan(["1", str(other)])


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": [3]}', '{"cells": {"a": 1}}', "\x00"])
def test_files_that_are_no_notebook(study: Path, content: str) -> None:
    Path("bad.ipynb").write_text(content)
    with pytest.raises(InputError, match="bad.ipynb: not a Jupyter notebook"):
        plan(["bad.ipynb"])


def test_contradictory_cell_is_refused(study: Path, write_notebook) -> None:
    write_notebook(study / "bad.ipynb", parameters='loss: str = "l3"  # l1 | l2')
    with pytest.raises(InputError, match="loss = 'l3' is not among its own choices"):
        plan(["bad.ipynb"])


def test_papermill_reads_the_same_parameters(study: Path) -> None:
    import papermill

    (job,) = plan(["1"])
    seen = papermill.inspect_notebook(job.notebook)
    assert {name: value["inferred_type_name"] for name, value in seen.items()} == {
        name: parameter.type for name, parameter in job.declared.items()
    }


# Where figures go ------------------------------------------------------------


def test_figure_folder(study: Path, write_notebook) -> None:
    out = study / "runs"
    assert jobs.figure_folder(plan([]), out, None) == study / "figures"
    assert jobs.figure_folder(plan([], budget="quick"), out, None) == study / "figures"
    assert jobs.figure_folder(plan([], ("seed", "1")), out, None) == out / "figures"
    assert jobs.figure_folder(plan([], budget="full"), out, None) == out / "figures"
    assert jobs.figure_folder(plan([]), out, study / "mine") == study / "mine"
    foreign = write_notebook(study / "a.ipynb")
    assert jobs.figure_folder(plan([str(foreign)]), out, None) == out / "figures"


# In the shell ------------------------------------------------------------


def test_nothing_runs_when_one_value_is_wrong(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-p", "seed", "1", "-p", "depth", "deep", "--out", "runs"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("deqlab: error: 08_find_the_point: parameter depth cannot be `deep`")
    assert not Path("runs").exists() and not Path("figures").exists()


def test_parameters_can_be_listed(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "1", "--parameters"]) == 0
    assert re.search("seed: int = 0 +of every draw\n", capsys.readouterr().out)
    assert not Path("runs").exists()
