"""Methods side by side: the same problems, seeds, tolerances and outer steps; medians and 10 and 90
% quantiles.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.text_table import table
from deqlab.theory.bilevel.descent import Clock, Outer, Trace, descend
from deqlab.theory.bilevel.hypergradient import (
    SHINE,
    AwareSHINE,
    FullInversion,
    JacobianFree,
    Method,
)
from deqlab.theory.bilevel.problem import Problem
from deqlab.theory.bilevel.search import GridSearch, RandomSearch, Search, optimum, search

METHODS = (SHINE(), AwareSHINE(), FullInversion(), JacobianFree(), GridSearch(), RandomSearch())
QUANTILES = (0.1, 0.5, 0.9)


@dataclass
class Comparison:
    """The traces of every method, one for each seed, and what they aim at.

    problem: its name. traces: by the method's name. best: for each seed the smallest validation
    loss that exact inner solves reach, where there is one hyperparameter; else the smallest one of
    all traces. theta: where that is, (seeds, k).
    """

    problem: str
    traces: dict[str, list[Trace]]
    best: list[float]
    theta: list[list[float]]

    def plateau(self, method: str, distance: float = 0.01) -> list[int | None]:
        """For each seed the first entry from which the validation loss stays below (1 + distance)
        times the best; None where it never does.
        """
        found = []
        for trace, best in zip(self.traces[method], self.best, strict=True):
            above = np.nonzero(~(np.array(trace.validation) <= (1 + distance) * best))[0]
            first = int(above[-1]) + 1 if len(above) else 0
            found.append(first if first < len(trace.validation) else None)
        return found

    def summary(self, distance: float = 0.01) -> dict[str, dict[str, Any]]:
        """By method, for a results file: what came of it, over seeds.

        reached: share of seeds that reach the plateau. solved: share of entries whose inner solve
        met its tolerance. As [10 %, median, 90 %]: seconds, work and iterations to the plateau;
        excess of the last validation loss over the best; the last test loss; miss, the largest
        distance of a last theta from the best one. Quantiles are observed values; a seed that never
        arrives counts as infinite, and an infinite quantile is None.
        """
        table = {}
        for method, traces in self.traces.items():
            arrived = self.plateau(method, distance)
            pairs = list(zip(traces, arrived, strict=True))
            table[method] = {
                "reached": float(np.mean([entry is not None for entry in arrived])),
                "solved": float(np.mean([done for trace in traces for done in trace.solved])),
                "seconds": quantiles(
                    [np.inf if at is None else trace.seconds[at] for trace, at in pairs]
                ),
                "work": quantiles(
                    [np.inf if at is None else trace.work[at] for trace, at in pairs]
                ),
                "iterations": quantiles([np.inf if at is None else at for at in arrived]),
                "excess": quantiles(
                    [
                        trace.validation[-1] / best - 1
                        for trace, best in zip(traces, self.best, strict=True)
                    ]
                ),
                "test": quantiles([trace.test[-1] for trace in traces]),
                "miss": quantiles(
                    [
                        max(np.abs(np.subtract(t.theta[-1], aim)))
                        for t, aim in zip(traces, self.theta, strict=True)
                    ]
                ),
            }
        return table

    def table(self, distance: float = 0.01) -> str:
        """The summary as a markdown table: median (10 % to 90 %)."""
        heading = [
            self.problem,
            "reached",
            f"ms to {distance:.1%}",
            "work to it",
            "steps to it",
            "excess at end, %",
            "|theta - best|",
            "test loss",
        ]
        rows = [heading]
        for method, row in self.summary(distance).items():
            cells = [
                _spread(row["seconds"], 1e3, ".0f"),
                _spread(row["work"], 1, ".0f"),
                _spread(row["iterations"], 1, ".0f"),
            ]
            cells += [
                _spread(row["excess"], 100, ".2f"),
                _spread(row["miss"], 1, ".2f"),
                _spread(row["test"], 1, ".4f"),
            ]
            rows.append([method, f"{row['reached']:.0%}", *cells])
        return table(rows)

    def band(self, method: str, at: Sequence[float], axis: str = "seconds") -> np.ndarray:
        """Excess of the validation loss over the best after `at` seconds (or "work", or "test"
        loss), as [10 %, median, 90 %] over seeds, (3, len(at)).

        axis: "seconds" or "work". Before its first entry a run stands at that entry's loss.
        """
        if axis not in ("seconds", "work"):
            raise InputError(f"axis: {axis!r} given, seconds or work needed")
        curves = []
        for trace, best in zip(self.traces[method], self.best, strict=True):
            entry = np.searchsorted(getattr(trace, axis), at, side="right") - 1
            curves.append(np.array(trace.validation)[np.maximum(entry, 0)] / best - 1)
        return np.quantile(curves, QUANTILES, axis=0, method="inverted_cdf")


def compare(
    problem: Callable[[int], Problem],
    methods: Sequence[Method | Search] = METHODS,
    seeds: Sequence[int] = range(5),
    outer: Outer = Outer(),
    clock: Clock = time.perf_counter,
) -> Comparison:
    """Runs every method on problem(seed) for every seed.

    The same but for the seconds whenever it is called. Each method takes one untimed step first,
    and the methods take turns in going first. Raises InputError where two methods have one name or
    nothing is to be run.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names) or not names or not len(seeds):
        raise InputError(
            f"methods: {', '.join(names) or 'none'} given for {len(seeds)} seeds; at least one of"
            " each, with different names, needed"
        )
    traces: dict[str, list[Trace]] = {name: [] for name in names}
    best, aims = [], []
    for turn, seed in enumerate(seeds):
        instance = problem(seed)
        if turn == 0:
            for method in methods:
                run(instance, method, Outer(steps=1), seed, clock)
        for index in range(len(methods)):
            method = methods[(index + turn) % len(methods)]
            traces[method.name].append(run(instance, method, outer, seed, clock))
        lowest, aim = _aim(instance, [traces[name][-1] for name in names])
        best.append(lowest)
        aims.append(aim)
    return Comparison(instance.name, traces, best, aims)


def run(
    problem: Problem,
    method: Method | Search,
    outer: Outer = Outer(),
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> Trace:
    """The trace of one method on one problem; the seed is for random search."""
    if isinstance(method, Search):
        return search(problem, method, seed, clock)
    return descend(problem, method, outer, clock)


def quantiles(values: Sequence[float]) -> list[float | None]:
    """[10 %, median, 90 %], each one of the values; None where it is infinite."""
    found = np.quantile(np.array(values, dtype=float), QUANTILES, method="inverted_cdf")
    return [float(value) if np.isfinite(value) else None for value in found]


def _aim(problem: Problem, traces: list[Trace]) -> tuple[float, list[float]]:
    if len(problem.theta0) == 1:
        theta, loss = optimum(problem)
        return loss, [theta]
    pairs = [
        (loss, theta)
        for trace in traces
        for loss, theta in zip(trace.validation, trace.theta, strict=True)
    ]
    return min(pairs)


def _spread(values: list[float | None], factor: float, form: str) -> str:
    low, median, high = (
        "never" if value is None else format(factor * value, form) for value in values
    )
    return f"{median} ({low} to {high})"
