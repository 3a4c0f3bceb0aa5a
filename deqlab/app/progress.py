"""How far a study has come, for whoever watches."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from deqlab.app.jobs import Job


class Progress:
    """A bar over notebooks and one over the cells of the present one; in a log, a line for each
    notebook.
    """

    def __init__(self, jobs: list[Job]) -> None:
        from tqdm import tqdm

        self._live = sys.stderr.isatty()
        self._count, self._done = len(jobs), 0
        self._bar = tqdm(
            total=len(jobs), unit="notebook", desc="study", position=0, disable=not self._live
        )
        self.cells: dict[str, Any] | bool = False

    def start(self, job: Job) -> None:
        width = shutil.get_terminal_size().columns // 3
        self.cells = (
            {"desc": job.name[:width], "position": 1, "leave": False} if self._live else False
        )

    def end(self, job: Job, outcome: dict) -> None:
        self._done += 1
        self._bar.update()
        line = (
            f"[{self._done}/{self._count}] {job.name}: {outcome['status']},"
            f" {outcome['seconds']:.1f} s"
        )
        (
            self._bar.write(line, file=sys.stderr)
            if self._live
            else print(line, file=sys.stderr, flush=True)
        )

    def close(self) -> None:
        self._bar.close()
