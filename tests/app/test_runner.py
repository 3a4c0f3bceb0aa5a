"""The headless runner: what it leaves behind, and what it does not overwrite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deqlab.app import jobs, runner
from deqlab.app.jobs import Job
from deqlab.core.errors import InputError


def plan(word: str) -> list[Job]:
    return jobs.plan(jobs.find_notebooks([word]), [], None)


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


def test_out_must_not_overwrite_the_notebooks(study: Path) -> None:
    before = Path("notebooks/01_see.ipynb").read_bytes()
    with pytest.raises(InputError, match="choose another --out"):
        runner.run(plan("1"), Path("notebooks"), Path("figures"))
    assert Path("notebooks/01_see.ipynb").read_bytes() == before


def test_foreign_results_file_is_refused(study: Path) -> None:
    Path("out").mkdir()
    Path("out/results.json").write_text("[1]")
    with pytest.raises(InputError, match="out/results.json: not a results file"):
        runner.run(plan("1"), Path("out"), Path("figures"))
    assert not Path("out/01_see.ipynb").exists()
