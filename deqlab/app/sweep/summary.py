"""What a sweep came to: a mean for each value of the axes of interest, with its spread, and the
paired difference from a rival.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest
from deqlab.core.text_table import table
from deqlab.evaluation.paired import MeanDifference, mean_difference

# What a validation metric is called beside the metric itself.
VALIDATION = "val."


@dataclass(frozen=True)
class Group:
    """Cells that share the values of the axes of interest.

    values: of those axes. mean: over all cells and units. spread: standard deviation over cells of
    their own means, such as over seeds; None of one cell. over_rival: None for the rival itself,
    and where nothing is compared. chosen: values of tuned axes.
    """

    values: dict[str, str]
    cells: int
    units: int
    mean: float
    spread: float | None
    over_rival: MeanDifference | None
    chosen: dict[str, str]


@dataclass(frozen=True)
class Question:
    """metric, method: whose numbers. by: the axes of interest; the other axes are repetitions, over
    which is averaged. tuned: axes whose value is the one with the best mean of the metric on
    validation heads, for each value of the axes of interest. against: the rival's values of some
    axes of interest; groups are compared that differ in these alone.
    """

    metric: str = "psnr"
    method: str = "trained"
    by: tuple[str, ...] = ()
    tuned: tuple[str, ...] = ()
    tuned_by: str | None = None
    against: Mapping[str, str] | None = None


def answer(
    question: Question, axes: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[Group]:
    """A Group for each combination of values of the axes of interest, in the order of the cells.
    InputError for what the results do not hold.
    """
    for axis in (*question.by, *question.tuned, *(question.against or ())):
        if axis not in axes:
            raise InputError(
                f"axis {axis!r} is none of the sweep's{nearest(axis, axes)}; it has"
                f" {', '.join(axes)}"
            )
    ours = [row for row in rows if row["method"] == question.method]
    used = _numbers(question.metric, ours)
    chosen = _chosen(question, ours)
    kept = [row for row in used if _fits(row, chosen.get(_key(row, question.by), {}))]
    rest = [axis for axis in axes if axis not in {*question.by, *question.tuned}]
    groups: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]] = {}
    for row in kept:
        cell = groups.setdefault(_key(row, question.by), {}).setdefault(_key(row, rest), {})
        cell[row["unit"]] = row["value"]
    found = []
    for key, group in groups.items():
        rival = _rival(question, key, groups)
        means = [float(np.mean(list(cell.values()))) for cell in group.values()]
        found.append(
            Group(
                dict(zip(question.by, key)),
                len(group),
                len({unit for cell in group.values() for unit in cell}),
                float(np.mean([value for cell in group.values() for value in cell.values()])),
                float(np.std(means, ddof=1)) if len(means) > 1 else None,
                None if rival is None else _paired(group, rival),
                chosen.get(key, {}),
            )
        )
    return found


def text(question: Question, groups: Sequence[Group]) -> str:
    """The groups as a table."""
    head = [*question.by, *(f"tuned {axis}" for axis in question.tuned), "cells", question.metric]
    head += ["SD over cells", "over the rival"] if question.against else ["SD over cells"]
    rows = [head]
    for group in groups:
        spread = "-" if group.spread is None else f"{group.spread:.3g}"
        row = [*group.values.values(), *(group.chosen[axis] for axis in question.tuned)]
        row += [str(group.cells), f"{group.mean:.4g}", spread]
        if question.against:
            row.append("-" if group.over_rival is None else str(group.over_rival))
        rows.append([value or "default" for value in row])
    return table(rows)


def _numbers(metric: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found = [row for row in rows if row["metric"] == metric]
    if not found:
        known = list(dict.fromkeys(row["metric"] for row in rows))
        raise InputError(
            f"metric {metric!r}: not among the results{nearest(metric, known)}; they hold"
            f" {', '.join(known) or 'nothing'}"
        )
    return found


def _chosen(
    question: Question, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, ...], dict[str, str]]:
    """For each group the values of the tuned axes that do best on validation heads."""
    if not question.tuned:
        return {}
    judge = question.tuned_by or question.metric
    scores: dict[tuple[str, ...], dict[tuple[str, ...], list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in _numbers(f"{VALIDATION}{judge}", rows):
        scores[_key(row, question.by)][_key(row, question.tuned)].append(row["value"])
    return {key: dict(zip(question.tuned, _best(found, judge))) for key, found in scores.items()}


def _best(scores: Mapping[tuple[str, ...], list[float]], metric: str) -> tuple[str, ...]:
    from deqlab.metrics.protocol import merit
    from deqlab.metrics.registry import METRICS

    better = METRICS[metric].better
    return max(scores, key=lambda one: merit(better, float(np.mean(scores[one]))))


def _rival(
    question: Question,
    key: tuple[str, ...],
    groups: Mapping[tuple[str, ...], dict[tuple[str, ...], dict[str, float]]],
) -> dict[tuple[str, ...], dict[str, float]] | None:
    if not question.against:
        return None
    other = tuple(question.against.get(axis, value) for axis, value in zip(question.by, key))
    if other == key:
        return None
    if other not in groups:
        named = ", ".join(f"{axis}={value}" for axis, value in question.against.items())
        raise InputError(f"the rival {named}: no cell of the sweep has these values")
    return groups[other]


def _paired(
    ours: Mapping[tuple[str, ...], Mapping[str, float]],
    theirs: Mapping[tuple[str, ...], Mapping[str, float]],
) -> MeanDifference | None:
    """The mean difference over (repetitions, units) that both have."""
    repetitions = [key for key in ours if key in theirs]
    units = [
        unit
        for unit in dict.fromkeys(unit for key in repetitions for unit in ours[key])
        if all(unit in ours[key] and unit in theirs[key] for key in repetitions)
    ]
    if not repetitions or not units:
        return None
    return mean_difference(
        [[ours[key][unit] - theirs[key][unit] for unit in units] for key in repetitions]
    )


def _key(row: Mapping[str, Any], axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(row[axis] or "" for axis in axes)


def _fits(row: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    return all(row[axis] == value for axis, value in values.items())
