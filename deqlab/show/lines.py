"""Curves and dot plots: residuals, PSNR against evaluations, the spread of a metric over
volumes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import colour, to_array


def figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.4, 3.6)
) -> tuple[Figure, Any]:
    """An empty figure in the house style and its axes (one, or an array of them); size in inches.

    It is not registered with pyplot, so a cell shows it once: as its last expression.
    """
    made = Figure(figsize=size, layout="constrained")
    return made, made.subplots(rows, columns)


def curves(
    series: dict,
    *,
    xlabel: str = "evaluations of f",
    ylabel: str = "relative residual",
    log: bool = True,
    level: float | None = None,
    level_name: str = "tolerance",
    title: str | None = None,
    markers: bool = False,
    colours: dict[str, str] | None = None,
    axes: Any = None,
) -> Figure:
    """A figure of curves, each in its method's fixed colour.

    series: name -> y values (x counts 1, 2, 3, ...), or name -> (x, y), or name -> list of such y
    (thin lines, one a sample, with one entry in the legend).
    log: a logarithmic y axis. level: a dotted horizontal line, named `level_name`.
    axes: draws into these axes of an existing figure instead, and returns that figure.
    """
    made = None
    if axes is None:
        made, axes = figure()
    for position, (name, values) in enumerate(series.items()):
        chosen = (colours or {}).get(name, colour(name, position))
        lines = _lines(values)
        for number, (x, y) in enumerate(lines):
            many = len(lines) > 1
            axes.plot(
                x,
                y,
                color=chosen,
                label=name if number == 0 else None,
                lw=1.2 if many else 2.0,
                alpha=0.7 if many else 1.0,
                marker="o" if markers else None,
                ms=4,
            )
    if level is not None:
        axes.axhline(level, color="#555555", lw=1.2, ls=(0, (2, 2)), label=level_name, zorder=1)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title or "", yscale="log" if log else "linear")
    if len(series) > 1 or level is not None:
        axes.legend()
    return made or axes.figure


def plotly_curves(
    series: dict,
    *,
    xlabel: str = "evaluations of f",
    ylabel: str = "relative residual",
    log: bool = True,
    title: str | None = None,
) -> Any:
    """The same curves as a plotly figure, to zoom and hover in a live notebook (GitHub does not
    draw it).
    """
    import plotly.graph_objects as go

    made = go.Figure(
        layout={"template": "deqlab", "title": title, "xaxis_title": xlabel, "yaxis_title": ylabel}
    )
    made.update_yaxes(type="log" if log else "linear", exponentformat="power")
    for position, (name, values) in enumerate(series.items()):
        for number, (x, y) in enumerate(_lines(values)):
            made.add_scatter(
                x=x.tolist(),
                y=y.tolist(),
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=number == 0,
                line={"color": colour(name, position)},
            )
    return made


def dots(groups: dict, *, xlabel: str, title: str | None = None, axes: Any = None) -> Figure:
    """A figure with one row per method: every value a dot, the mean a bar, the mean printed beside
    the row.

    groups: name -> values, for example the PSNR of each test volume. axes: as in `curves`.
    """
    made = None
    if axes is None:
        made, axes = figure(size=(6.4, 0.9 + 0.42 * len(groups)))
    for row, (name, values) in enumerate(groups.items()):
        values = np.sort(to_array(values).astype(float).ravel())
        shift = 0.12 * np.where(np.arange(len(values)) % 2, 1, -1) if len(values) > 1 else 0
        axes.scatter(
            values,
            row + np.zeros(len(values)) + shift,
            s=20,
            color=colour(name, row),
            alpha=0.55,
            lw=0,
        )
        axes.plot([values.mean()] * 2, [row - 0.32, row + 0.32], color=colour(name, row), lw=2.5)
        axes.annotate(
            f"{values.mean():#.3g}",
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set(xlabel=xlabel, title=title or "")
    return made or axes.figure


def _lines(values: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (x, y) pairs of one entry: a tuple is (x, y); a list of sequences is one line for
    each.
    """
    if isinstance(values, tuple):
        x, y = (to_array(part).astype(float).ravel() for part in values)
        return [(x, y)]
    if isinstance(values, list) and values and np.ndim(to_array(values[0])) == 1:
        return [_counted(line) for line in values]
    return [_counted(values)]


def _counted(values: Any) -> tuple[np.ndarray, np.ndarray]:
    y = to_array(values).astype(float).ravel()
    return np.arange(1, len(y) + 1), y
