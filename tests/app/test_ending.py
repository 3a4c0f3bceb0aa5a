"""A command that is told to end leaves nothing behind, and says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deqlab.app.cli import main
from deqlab.app.ending import SIGNALS, Ended, ended_by_signals

# A command that holds a reserved file until it is told to end.
WAITING = """if True:
    import sys, time, types
    from deqlab.app.cli import main
    from deqlab.app.shell import Command
    from deqlab.core.atomic import atomic_path

    def work():
        with atomic_path("out.h5") as part:
            part.write_bytes(b"much")
            print("begun", flush=True)
            time.sleep(60)

    stub = types.ModuleType("deqlab.app.commands.data")
    stub.COMMAND = Command("data", callback=work, params=[])
    sys.modules[stub.__name__] = stub
    {before}
    sys.exit(main(["data"]))"""


def started(folder: Path, before: str = "") -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(before=before)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    assert any(name.endswith(".part") for name in os.listdir(folder))
    return process


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_nothing_is_left_and_the_status_is_the_signal(tmp_path: Path, number: int) -> None:
    process = started(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -number
    assert os.listdir(tmp_path) == []
    assert errors.splitlines() == [f"deqlab: error: ended by {signal.Signals(number).name}"]


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """`nohup deqlab ...` outlives its terminal."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process = started(tmp_path, ignore)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM and os.listdir(tmp_path) == []


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    main(["--version"])
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(Ended, match="SIGTERM"), ended_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert [signal.getsignal(number) for number in SIGNALS] == before
