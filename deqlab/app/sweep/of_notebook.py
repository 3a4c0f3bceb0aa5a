"""A cell that runs a notebook with parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deqlab.app.jobs import find_notebooks, plan
from deqlab.app.sweep.cell import Cell, folder_name
from deqlab.core.errors import InputError


class Notebook:
    """name: as `deqlab run` takes it. settings: parameters that all cells share."""

    def __init__(self, name: str, settings: Sequence[tuple[str, str]], budget: str | None):
        self.paths, self.settings, self.budget = find_notebooks([name]), tuple(settings), budget

    def cell(self, values: Mapping[str, str], out: Path) -> Cell:
        """The cell, checked: InputError for what is no parameter of the notebook, or no value."""
        plan(self.paths, [*self.settings, *values.items()], self.budget)
        folder = out / folder_name(dict(values))
        words = ["run", str(self.paths[0])]
        for name, value in (*self.settings, *values.items()):
            words += ["-p", name, value]
        words += ["--budget", self.budget] if self.budget else []
        words += ["--out", str(folder), "--figures", str(folder / "figures")]
        if folder.resolve() == self.paths[0].resolve().parent:
            raise InputError(f"{folder}: holds the notebook itself; choose another --out")
        return Cell(dict(values), (tuple(words),), folder)

    def measured(self, cell: Cell) -> Iterator[dict[str, Any]]:
        """{"metric", "value", "method", "unit"} for every number that the notebook recorded, the
        metric named by the path to it.
        """
        content = json.loads((cell.folder / "results.json").read_text())
        for run in content.values():
            for name, value in _numbers(run["results"], ""):
                yield {"metric": name, "value": value, "method": "notebook", "unit": "run"}


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _numbers(inside, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _numbers(inside, f"{path}[{index}]")
    elif isinstance(value, (int, float)):
        yield path, float(value)
