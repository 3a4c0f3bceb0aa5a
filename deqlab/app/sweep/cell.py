"""One cell of a sweep: a folder, the commands that are run for it, and what became of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deqlab.app import results

RECORD, LOG, LOCK = "cell.json", "log.txt", "lock"
LONGEST = 100  # characters of a folder's name

_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Cell:
    """values: of the axes. steps: the words of `deqlab` commands, one after the other."""

    values: dict[str, str]
    steps: tuple[tuple[str, ...], ...]
    folder: Path

    @property
    def name(self) -> str:
        return ", ".join(f"{axis}={value}" for axis, value in self.values.items())

    @property
    def command(self) -> str:
        """What a person would type."""
        return " && ".join(shlex.join(["deqlab", *step]) for step in self.steps)

    @property
    def record(self) -> dict[str, Any]:
        """What became of it, as `run_cell` returned it; empty where that is not known."""
        return results.read(self.folder / RECORD)

    @property
    def finished(self) -> bool:
        """Whether these very commands have ended well."""
        known = self.record
        return known.get("status") == "ok" and known.get("command") == self.command


def folder_name(values: dict[str, str]) -> str:
    """A name that a person can read, and that no other cell has."""
    plain = ",".join(f"{axis}={value}" for axis, value in values.items())
    safe = re.sub(r"[^\w.=,+-]", "_", plain)
    if safe == plain and len(safe) <= LONGEST:
        return safe
    digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:10]
    return f"{safe[: LONGEST - 11]}-{digest}"


def run_cell(cell: Cell, threads: int) -> dict[str, Any]:
    """Runs the commands, each in a process of its own, until one fails: values, command, status
    (`ok`, `failed`), error (one line), seconds, finished. The same stands in the folder's
    cell.json, and what the commands printed in its log.txt.
    """
    cell.folder.mkdir(parents=True, exist_ok=True)
    with _alone(cell.folder / LOCK) as lock:
        if cell.finished:  # by the commands of a sweep that was killed, which we have waited for
            return cell.record
        begin, error = time.perf_counter(), None
        with open(cell.folder / LOG, "wb") as log:
            for step in cell.steps:
                error = _run(step, log, lock, threads)
                if error is not None:
                    break
        outcome = {
            "values": cell.values,
            "command": cell.command,
            "status": "ok" if error is None else "failed",
            "error": error,
            "seconds": round(time.perf_counter() - begin, 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        results.write(cell.folder / RECORD, outcome)
    return outcome


def _run(words: tuple[str, ...], log: Any, lock: int, threads: int) -> str | None:
    """None, or one line that says what went wrong."""
    start = log.tell()
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "deqlab", *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=(lock,),
    )
    _running.add(process)
    try:
        status = process.wait()
    finally:
        _running.discard(process)
    if status == 0:
        return None
    log.seek(0, os.SEEK_END)
    told = Path(log.name).read_bytes()[start:].decode(errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", told) if line.strip()]
    errors = [line for line in lines if line.startswith("deqlab: error:")]
    why = (errors or lines or ["it printed nothing"])[-1].removeprefix("deqlab: error: ")
    return f"deqlab {words[0]}: exit status {status}: {why}"


def stop_all() -> None:
    """Tells the commands that run in this process's workers to end."""
    for process in list(_running):
        process.terminate()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Waits until nobody else works in the folder. The commands inherit the lock, so that those
    which outlive a killed sweep are waited for and never run twice at a time.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
