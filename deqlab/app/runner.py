"""Runs notebooks without a browser, one after the other, and collects figures and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deqlab.app import results
from deqlab.app.execute import execute
from deqlab.app.jobs import Job
from deqlab.app.progress import Progress
from deqlab.core.errors import InputError


def run(jobs: list[Job], out: Path, figures: Path) -> dict[str, dict[str, Any]]:
    """What became of each notebook, by name; also in OUT/results.json and OUT/results.md, beside
    older ones.

    One that fails does not stop the next. Each value holds notebook, parameters, status (`ok`,
    `failed`), seconds, error (one line, after a failure), results, python, torch, device, finished.
    Raises InputError when OUT would overwrite a notebook.
    """
    for job in jobs:
        if job.notebook.resolve().parent == out.resolve():
            raise InputError(
                f"{out}: holds the notebook {job.notebook.name} itself; choose another --out"
            )
    out.mkdir(parents=True, exist_ok=True)
    figures.mkdir(parents=True, exist_ok=True)
    collected = results.read(out / "results.json")
    finished: dict[str, dict[str, Any]] = {}
    bar = Progress(jobs)
    for job in jobs:
        bar.start(job)
        finished[job.name] = execute(job, out, figures, bar.cells)
        collected[job.name] = finished[job.name]
        # after each notebook: an interrupted study keeps what it has
        results.write(out / "results.json", collected)
        results.write(out / "results.md", results.report(collected))
        bar.end(job, finished[job.name])
    bar.close()
    return finished
