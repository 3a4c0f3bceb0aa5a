"""The answer to a question about a sweep, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deqlab.app.sweep.summary import Group, Question
from deqlab.core.atomic import atomic_path


def draw(question: Question, groups: Sequence[Group], path: Path) -> None:
    """A row for each group: its mean, and the standard deviation over its cells."""
    from matplotlib.figure import Figure

    labels = [", ".join(f"{k}={v or 'default'}" for k, v in g.values.items()) for g in groups]
    figure = Figure(figsize=(7, 0.8 + 0.35 * len(groups)), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        [group.mean for group in groups],
        range(len(groups)),
        xerr=[group.spread or 0 for group in groups],
        fmt="o",
        capsize=3,
        color="black",
    )
    axes.set_yticks(range(len(groups)), labels)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"{question.metric}; bars: standard deviation over cells")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=150)
