"""Output reaches terminals of any encoding, and its absence stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINTING = """if True:
    import sys, types
    from deqlab.app.cli import main
    from deqlab.app.shell import Command

    def work():
        print("3 ± 1, スライス, caf\\udce9 →")
        print("noted", file=sys.stderr)
        sys.stderr.isatty()
        open("done", "w").write("all")

    stub = types.ModuleType("deqlab.app.commands.data")
    stub.COMMAND = Command("data", callback=work, params=[])
    sys.modules[stub.__name__] = stub
    sys.exit(main(["data"]))"""


@pytest.mark.parametrize(
    "encoding, line",
    [
        ("ascii", "3 +- 1, ????, caf? ->"),
        ("latin-1", "3 ± 1, ????, caf? ->"),
        ("cp437", "3 ± 1, ????, caf? ->"),
        ("utf-8", "3 ± 1, スライス, caf? →"),
    ],
)
def test_any_text_is_printed_in_any_encoding(tmp_path: Path, encoding: str, line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTING],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stdout.decode(encoding).strip()) == (0, line), done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_outputs_stop_nothing_and_write_into_no_file(tmp_path: Path, closed: str) -> None:
    done = subprocess.run(
        f'"$PYTHON" -c "$SCRIPT" {closed}',
        shell=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "SCRIPT": PRINTING},
    )
    assert done.returncode == 0 and (tmp_path / "done").read_text() == "all"
