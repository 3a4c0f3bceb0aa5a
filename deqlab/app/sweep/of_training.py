"""A cell that trains a model and judges it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deqlab.app.sweep.cell import Cell, folder_name
from deqlab.core.errors import InputError

# By the prefix of its metrics: where the rows of a judgement lie, and what it is asked beside.
JUDGED = {"": ("evaluation.json", ()), "val.": ("validation.json", ("--split", "val"))}


class Training:
    """words: of every `deqlab train`. judge: of every `deqlab evaluate`, in which {AXIS} stands for
    the value of an axis. validated: whether validation heads are judged too, so that an option may
    be chosen by them.
    """

    def __init__(self, words: Sequence[str], judge: str, validated: bool):
        self.words, self.judge, self.validated = tuple(words), judge, validated

    def cell(self, values: Mapping[str, str], out: Path) -> Cell:
        """The cell, checked: InputError, which names its values, for what cannot be trained."""
        folder = out / folder_name(dict(values))
        train = ("train", *self.words, *_axis_words(values), "--out", str(folder))
        try:
            model = _checked(train[1:])
            judgements = tuple(self._judgement(values, folder, model, part) for part in self._parts)
        except InputError as error:
            named = ", ".join(f"{axis}={value}" for axis, value in values.items())
            raise InputError(f"cell {named}: {error}") from None
        return Cell(dict(values), (train, *judgements), folder)

    @property
    def _parts(self) -> list[str]:
        return list(JUDGED) if self.validated else [""]

    def _judgement(
        self, values: Mapping[str, str], folder: Path, model: str, part: str
    ) -> tuple[str, ...]:
        from deqlab.app.commands import evaluate

        file, beside = JUDGED[part]
        try:
            asked = shlex.split(self.judge.format_map(values))
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(
                f"--judge {self.judge}: {error} given; in braces the name of an axis needed"
            ) from None
        words = ["--model", str(folder / f"{model}.json"), *asked, *beside]
        words += ["--json", str(folder / file)]
        evaluate.COMMAND.make_context("deqlab evaluate", list(words))
        return ("evaluate", *words)

    def measured(self, cell: Cell) -> Iterator[dict[str, Any]]:
        """{"metric", "value", "method", "unit"} for every number of every row; the unit is the
        volume at its acceleration, on which cells are compared.
        """
        from deqlab.metrics.registry import METRICS

        for prefix in self._parts:
            content = json.loads((cell.folder / JUDGED[prefix][0]).read_text())
            for row in content["rows"]:
                unit = f"{row['file']} {row['acceleration']:g}x"
                own = row["method"] if row["method"].startswith("tuned ") else "trained"
                numbers = {name: row[name] for name in METRICS if name in row}
                numbers["seconds"] = row["seconds"]
                if row["converged"] is not None:
                    numbers["converged"] = sum(row["converged"]) / len(row["converged"])
                    numbers["evaluations"] = sum(row["evaluations"]) / len(row["evaluations"])
                for name, value in numbers.items():
                    yield {
                        "metric": f"{prefix}{name}",
                        "value": float(value),
                        "method": own,
                        "unit": unit,
                    }


def _axis_words(values: Mapping[str, str]) -> list[str]:
    """A flag of `deqlab train` where there is one of that name, else an option of the model."""
    from deqlab.app.commands import train

    flags = {flag for parameter in train.COMMAND.params for flag in parameter.opts}
    words = []
    for axis, value in values.items():
        flag = f"--{axis.replace('_', '-')}"
        words += [flag, value] if flag in flags else ["--set", f"{axis}={value}"]
    return words


def _checked(words: Sequence[str]) -> str:
    """The model that `deqlab train WORDS` trains; its own InputError for words it cannot use."""
    from deqlab.app.commands import train

    given = train.COMMAND.make_context("deqlab train", list(words)).params
    for apart in ("val", "out", "denoiser", "threads", "devices"):
        given.pop(apart)
    config = train.planned(**given)[0]
    config.build()
    return str(config.name)
