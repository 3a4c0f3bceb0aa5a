"""The best options of a method on validation slices: a baseline that was not tuned is no
baseline.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import updated
from deqlab.core.text_table import table
from deqlab.data.sample import Batch, Sample, collate
from deqlab.evaluation.judge import judge
from deqlab.metrics.protocol import merit
from deqlab.metrics.registry import METRICS
from deqlab.metrics.usual import USUAL
from deqlab.recon.base import Reconstructor
from deqlab.recon.registry import create


@dataclass(frozen=True)
class Trial:
    """One choice of options: means over the data of the usual metrics and of the one that chooses,
    and the share of slices that converged (None for a method that does not iterate).
    """

    options: dict[str, Any]
    scores: dict[str, float]
    converged: float | None
    seconds: float


@dataclass(frozen=True)
class Tuning:
    """All trials in the order of the grid, and which was best by `metric`."""

    metric: str
    grid: dict[str, list[Any]]
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The best trial by the metric, whichever way is better."""
        better = METRICS[self.metric].better
        return max(self.trials, key=lambda trial: merit(better, trial.scores[self.metric]))

    @property
    def options(self) -> dict[str, Any]:
        """The best options."""
        return self.best.options

    @property
    def at_edge(self) -> list[str]:
        """Options of numbers whose best value is the smallest or the largest of three or more: the
        grid may be too narrow.
        """
        numeric = {
            name: values
            for name, values in self.grid.items()
            if len(values) > 2 and all(isinstance(v, (int, float)) for v in values)
        }
        return [
            name
            for name, values in numeric.items()
            if self.options[name] in (min(values), max(values))
        ]

    def report(self) -> str:
        """A table of all trials, the best one marked."""
        names = list(self.trials[0].scores)
        titles = [METRICS[name].title for name in names]
        rows = [[*self.grid, *titles, "converged", "seconds", ""]]
        for trial in self.trials:
            share = "-" if trial.converged is None else f"{trial.converged:.0%}"
            shown = [f"{v:g}" if isinstance(v, float) else str(v) for v in trial.options.values()]
            scores = [f"{trial.scores[name]:.{METRICS[name].digits}f}" for name in names]
            scores += [share, f"{trial.seconds:.1f}"]
            rows.append([*shown, *scores, f"best {self.metric}" if trial is self.best else ""])
        return table(rows)


def tune(
    family: str | Callable[..., Reconstructor],
    grid: Mapping[str, Sequence[Any]],
    data: Sequence[Sample | Batch],
    metric: str = "psnr",
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Tuning:
    """The Tuning of `family` over all combinations of `grid`, judged as `deqlab evaluate` judges.

    family: a name of `deqlab.recon.create`, or what makes a reconstructor from options. grid:
    option -> values; options of options have a dot in their names, as "spinning.shifts". data:
    validation slices or batches (one volume each) with targets; the score is the mean over them.
    progress: called with a label before each trial. Every reconstructor is made before the first
    runs, so an impossible option costs no time. InputError for one, for an empty grid or data, and
    for an unknown metric.
    """
    METRICS.checked(metric)
    metrics = tuple(dict.fromkeys((*USUAL, metric)))
    values = {name: list(choices) for name, choices in grid.items()}
    if not values or not all(values.values()) or not len(data):
        raise InputError(
            f"grid: {values} with {len(data)} slices given; at least one value for each option, and"
            " one slice, needed"
        )
    volumes = [sample if isinstance(sample, Batch) else collate([sample]) for sample in data]
    if any(volume.target is None for volume in volumes):
        raise InputError("data: slices without a target given; tuning needs fully sampled files")
    choices = [
        dict(zip(values, combination)) for combination in itertools.product(*values.values())
    ]
    methods = [
        _named(family, options) if isinstance(family, str) else family(**options)
        for options in choices
    ]
    trials = []
    for options, method in zip(choices, methods):
        label = ", ".join(f"{name}={value}" for name, value in options.items())
        if progress is not None:
            progress(label)
        rows = [
            judge(label, method.to(device), volume.to(device), float("nan"), metrics=metrics)
            for volume in volumes
        ]
        means = {name: float(np.mean([row.scores[name] for row in rows])) for name in metrics}
        flags = [flag for row in rows for flag in row.converged or ()]
        share = float(np.mean(flags)) if flags else None
        trials.append(Trial(options, means, share, sum(row.seconds for row in rows)))
    return Tuning(metric, values, trials)


def _named(name: str, options: Mapping[str, Any]) -> Reconstructor:
    method = create(name, **{key: value for key, value in options.items() if "." not in key})
    return updated(method, {key: value for key, value in options.items() if "." in key})
