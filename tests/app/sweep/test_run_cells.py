"""What becomes of many cells: finished ones are kept, failing ones told, orphans waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

from deqlab.app.sweep.cell import Cell, folder_name, run_cell
from deqlab.app.sweep.clusters import Local
from deqlab.app.sweep.collect import collect, read
from deqlab.app.sweep.run_cells import run

VERSION = ("--version",)


def cell_of(number: int, out: Path, *words: str) -> Cell:
    values = {"number": str(number)}
    return Cell(values, (words or VERSION,), out / folder_name(values))


def test_a_failing_cell_is_told_and_the_rest_completes(tmp_path: Path, capsys) -> None:
    cells = [cell_of(0, tmp_path), cell_of(1, tmp_path, "nonsense"), cell_of(2, tmp_path)]
    outcomes = run(cells, Local(), jobs=2)
    assert [outcome["status"] for outcome in outcomes] == ["ok", "failed", "ok"]
    assert "deqlab nonsense: exit status 2: " in outcomes[1]["error"]
    told = capsys.readouterr().err
    assert "dashboard: http" in told and "number=1: failed, deqlab nonsense" in told
    # again: what ended well is left, what failed is tried again
    before = [(cell.folder / "cell.json").stat().st_mtime_ns for cell in cells]
    again = run(cells, Local(), jobs=2)
    after = [(cell.folder / "cell.json").stat().st_mtime_ns for cell in cells]
    assert [a == b for a, b in zip(after, before)] == [True, False, True]
    assert [outcome["status"] for outcome in again] == ["ok", "failed", "ok"]


def test_a_cell_whose_command_has_changed_runs_again(tmp_path: Path) -> None:
    assert run_cell(cell_of(0, tmp_path), 1)["status"] == "ok"
    assert cell_of(0, tmp_path).finished
    assert not cell_of(0, tmp_path, "list").finished


def test_steps_after_a_failing_one_are_not_run(tmp_path: Path) -> None:
    cell = Cell({"a": "1"}, (("nonsense",), VERSION), tmp_path / "a=1")
    assert run_cell(cell, 1)["status"] == "failed"
    assert "0.1.0" not in (cell.folder / "log.txt").read_text()


SWEEP = """
import sys
from pathlib import Path
from deqlab.app.sweep.cell import Cell
from deqlab.app.sweep.clusters import Local
from deqlab.app.sweep.run_cells import run

out = Path(sys.argv[1])
steps = (("--version",),)
run([Cell({"n": str(n)}, steps, out / f"n={n}") for n in range(12)], Local(), 2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_was_killed_goes_on_where_it_was(tmp_path: Path, how: int) -> None:
    words = [sys.executable, "-c", SWEEP, str(tmp_path)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*/cell.json"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, how)
    process.communicate(timeout=60)
    done = {path: path.read_text() for path in tmp_path.glob("*/cell.json")}
    assert 3 <= len(done) < 12
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    records = {path: path.read_text() for path in tmp_path.glob("*/cell.json")}
    assert len(records) == 12
    assert all(json.loads(text)["status"] == "ok" for text in records.values())
    finished = {path for path, text in done.items() if json.loads(text)["status"] == "ok"}
    assert len(finished) >= 3
    assert all(records[path] == done[path] for path in finished)


def test_a_sweep_goes_on_after_the_machine_has_slept(tmp_path: Path) -> None:
    """Longer than a worker may be silent, which is set to a second here."""
    words = [sys.executable, "-c", SWEEP, str(tmp_path)]
    patience = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=patience)
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*/cell.json"))) < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(8)  # ten heartbeats of half a second are waited for in any case
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert len(list(tmp_path.glob("*/cell.json"))) == 12


def test_commands_that_outlive_a_killed_sweep_are_waited_for(tmp_path: Path) -> None:
    """Their folder is locked for as long as they run."""
    import fcntl

    cell = cell_of(0, tmp_path)
    cell.folder.mkdir()
    with open(cell.folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        orphan = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(1)"], pass_fds=(lock.fileno(),)
        )
    begin = time.monotonic()
    assert run_cell(cell, 1)["status"] == "ok"
    assert time.monotonic() - begin > 0.5 and orphan.poll() is not None


def test_all_numbers_stand_in_one_file_with_what_made_them(tmp_path: Path) -> None:
    cells = [cell_of(0, tmp_path), cell_of(1, tmp_path, "nonsense")]
    outcomes = run(cells, Local(), 1)

    def measured(cell: Cell):
        yield {"metric": "psnr", "value": 30.5, "method": "trained", "unit": "head"}

    axes, rows = read(collect(cells, outcomes, measured, tmp_path))
    assert axes == ["number"]
    good, bad = rows
    assert (good["number"], good["metric"], good["value"]) == ("0", "psnr", 30.5)
    assert good["command"] == "deqlab --version" and good["status"] == "ok"
    assert good["torch"] and good["python"] and good["finished"]
    assert (bad["number"], bad["value"], bad["status"]) == ("1", None, "failed")
    assert "nonsense" in bad["error"]
