"""The headless runner: what it refuses before anything runs, and what it leaves behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deqlab.app import runner
from deqlab.app.cli import main
from deqlab.app.parameters import read_parameters
from deqlab.core.errors import InputError

PARAMETERS = '''"""What may be set."""
seed: int = 0  # of every draw
rate: float = 1.5
loss: str = "l1"  # l1 | l2: which error is trained on
acceleration: int = 4  # 4 | 8
budget: str = "quick"  # quick | full
verbose: bool = False
sizes: list[int] = [1, 2]
note: str = "a | b"  # left | right padding, or any other text
'''


@pytest.fixture
def study(tmp_path: Path, write_notebook, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with three notebooks; the test stands in it."""
    (tmp_path / "deqlab").mkdir()
    (tmp_path / "deqlab" / "__init__.py").touch()
    write_notebook(tmp_path / "notebooks" / "01_see.ipynb", "print(seed)", parameters=PARAMETERS)
    write_notebook(
        tmp_path / "notebooks" / "08_find_the_point.ipynb", "pass", parameters="depth: int = 3"
    )
    write_notebook(tmp_path / "notebooks" / "15_judge.ipynb", "pass")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(
    words: list[str], *settings: tuple[str, str], budget: str | None = None
) -> list[runner.Job]:
    return runner.plan(runner.find_notebooks(words), list(settings), budget)


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
    assert [path.stem for path in runner.find_notebooks(words)] == stems


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
        runner.find_notebooks(words)


def test_ambiguous_number_is_refused(study: Path, write_notebook) -> None:
    write_notebook(study / "notebooks" / "08_other.ipynb")
    with pytest.raises(
        InputError, match="`8` names several notebooks: 08_find_the_point, 08_other"
    ):
        runner.find_notebooks(["8"])


def test_empty_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("deqlab", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "deqlab" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="notebooks: holds no notebook"):
        runner.find_notebooks([])


def test_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        runner, "__file__", str(tmp_path / "site" / "deqlab" / "study" / "runner.py")
    )
    with pytest.raises(InputError, match="no folder `notebooks`"):
        runner.find_notebooks([])


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
    jobs = plan([], ("seed", "7"), ("depth", "4"), budget="full")
    assert [job.values for job in jobs] == [{"seed": 7, "budget": "full"}, {"depth": 4}, {}]


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
    assert runner.figure_folder(plan([]), out, None) == study / "figures"
    assert runner.figure_folder(plan([], budget="quick"), out, None) == study / "figures"
    assert runner.figure_folder(plan([], ("seed", "1")), out, None) == out / "figures"
    assert runner.figure_folder(plan([], budget="full"), out, None) == out / "figures"
    assert runner.figure_folder(plan([]), out, study / "mine") == study / "mine"
    foreign = write_notebook(study / "a.ipynb")
    assert runner.figure_folder(plan([str(foreign)]), out, None) == out / "figures"


# A run ------------------------------------------------------------

RECORDING = """import os
from pathlib import Path
from deqlab.app.results import record
record("psnr_db", 30.0 + seed)
record("table", {"cg-sense": {"4x": 28.25, "8x": 24.5}, "de-grad": {"4x": 32.0}})
Path(os.environ["DEQLAB_FIGURES"], "seen.txt").write_text(os.getcwd())"""
WIDGET = """import ipywidgets
ipywidgets.HTML("x" * 100_000)"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, write_notebook):
    """Three notebooks, the first of which fails after it has recorded something, run by the shell
    command.
    """
    folder = tmp_path_factory.mktemp("ran")
    seed = "seed: int = 0"
    write_notebook(
        folder / "fails.ipynb", RECORDING, "# why\n1 / 0", "raise SystemError", parameters=seed
    )
    write_notebook(folder / "works.ipynb", RECORDING, WIDGET, parameters=seed)
    write_notebook(folder / "dies.ipynb", "import os\nos._exit(3)")
    out = folder / "out {seed} {x}"  # papermill would fill the braces
    out.mkdir()
    (out / "results.json").write_text(
        json.dumps(
            {"older": {"status": "ok", "seconds": 1, "parameters": {}, "results": {"kept": 1}}}
        )
    )
    words = [
        "fails.ipynb",
        "dies.ipynb",
        "works.ipynb",
        "-p",
        "seed",
        "2",
        "--out",
        "out {seed} {x}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "deqlab", "run", *words], cwd=folder, capture_output=True, text=True
    )
    return out, done, json.loads((out / "results.json").read_text())


def test_one_failure_does_not_stop_the_others(ran) -> None:
    _, done, found = ran
    assert done.returncode == 1
    assert [found[name]["status"] for name in ("fails", "dies", "works")] == [
        "failed",
        "failed",
        "ok",
    ]
    assert "[3/3] works: ok" in done.stderr
    at_end = done.stderr.split("2 of 3 notebooks failed:\n")[1].splitlines()
    assert at_end[0] == '  fails: In [4], "1 / 0": ZeroDivisionError: division by zero'
    assert at_end[1].startswith("  dies: ") and "Kernel died" in at_end[1]
    assert len(at_end) == 2
    assert "Traceback" not in at_end


def test_results_are_collected(ran) -> None:
    _, _, found = ran
    works = found["works"]
    table = {"cg-sense": {"4x": 28.25, "8x": 24.5}, "de-grad": {"4x": 32.0}}
    assert works["results"] == {"psnr_db": 32.0, "table": table}
    assert (
        works["parameters"] == {"seed": 2}
        and works["notebook"] == "works.ipynb"
        and works["seconds"] > 0
    )
    assert (
        works["device"]
        and works["torch"]
        and works["python"] == ".".join(map(str, sys.version_info[:3]))
    )
    assert found["fails"]["results"]["psnr_db"] == 32.0  # what it recorded before it failed
    assert "ZeroDivisionError" in found["fails"]["error"]
    assert found["older"]["results"] == {"kept": 1}


def test_report_is_readable(ran) -> None:
    out, done, _ = ran
    report = (out / "results.md").read_text()
    assert "| cg-sense | 28.25 | 24.5 |" in report and "| de-grad  | 32    |      |" in report
    assert "| psnr_db | 32    |" in report and "| kept " in report
    assert "| works    | ok     |" in done.stdout and "| cg-sense | 28.25 | 24.5 |" in done.stdout
    assert "kept" not in done.stdout  # of an older run


def test_figures_and_working_folder(ran) -> None:
    out, _, _ = ran
    assert Path((out / "figures" / "seen.txt").read_text()) == out.parent


def test_executed_notebooks_are_small_and_complete(ran) -> None:
    out, _, _ = ran
    executed = json.loads((out / "works.ipynb").read_text())
    assert "widgets" not in executed["metadata"]
    assert (out / "works.ipynb").stat().st_size < 50_000
    assert all(cell["execution_count"] for cell in executed["cells"] if cell["cell_type"] == "code")
    assert "ZeroDivisionError" in (out / "fails.ipynb").read_text()
    assert not list(out.glob(".*"))


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


def test_out_must_not_overwrite_the_notebooks(study: Path) -> None:
    before = Path("notebooks/01_see.ipynb").read_bytes()
    with pytest.raises(InputError, match="choose another --out"):
        runner.run(plan(["1"]), Path("notebooks"), Path("figures"))
    assert Path("notebooks/01_see.ipynb").read_bytes() == before


def test_foreign_results_file_is_refused(study: Path) -> None:
    Path("out").mkdir()
    Path("out/results.json").write_text("[1]")
    with pytest.raises(InputError, match="out/results.json: not a results file"):
        runner.run(plan(["1"]), Path("out"), Path("figures"))
    assert not Path("out/01_see.ipynb").exists()
