"""Surfaces that the reader turns."""

from __future__ import annotations

from typing import Any

import numpy as np

INK = "#2b2b2b"


def plotly_surface(
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    *,
    title: str = "",
    labels: tuple[str, str, str],
    ceiling: float | None = None,
    path: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Any:
    """A plotly figure of a surface, to turn and hover in a live notebook.

    x, y, height: (rows, columns), as meshgrid makes them. labels: of the three axes, with units.
    ceiling: what lies higher is cut off there. path: (x, y, height) of points that are joined by a
    line on it, such as those of a descent.
    """
    import plotly.graph_objects as go

    shown = height if ceiling is None else np.minimum(height, ceiling)
    places = "".join(
        f"{label}: %{{{axis}:.3g}}<br>" for label, axis in zip(labels, ("x", "y", "z"))
    )
    surface = go.Surface(
        x=x,
        y=y,
        z=shown,
        colorscale="Viridis",
        colorbar={"title": labels[2]},
        hovertemplate=f"{places}<extra></extra>",
    )
    figure = go.Figure(surface)
    if path is not None:
        walk = dict(zip("xyz", path))
        marker, line = {"size": 4, "color": INK}, {"width": 5, "color": INK}
        figure.add_scatter3d(**walk, mode="lines+markers", marker=marker, line=line)
    axes = {f"{axis}axis": {"title": label} for axis, label in zip("xyz", labels)}
    figure.update_layout(
        template="deqlab", title=title, scene=axes, margin={"l": 0, "r": 0, "t": 40, "b": 0}
    )
    return figure
