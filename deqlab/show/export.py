"""Figures as files: one a figure, in the folder that the environment variable DEQLAB_FIGURES
names.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from deqlab.core.errors import InputError

from .style import SAVED_DPI

# matplotlib's or plotly's.
AnyFigure = TypeVar("AnyFigure")


def save(figure: AnyFigure, name: str) -> AnyFigure:
    """The same figure, so that a cell can end with `save(figure, name)`; its file is written on the
    way.

    Pictures become PNG, pure curves become SVG, plotly figures become HTML beside one shared
    plotly.min.js. Nothing is written while DEQLAB_FIGURES is unset or empty; an existing file is
    replaced whole. Raises InputError for a name that is not made of letters, digits, `-` and `_`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise InputError(
            f"figure name {name!r}: use letters, digits, '-' and '_' only, without an ending"
        )
    folder = os.environ.get("DEQLAB_FIGURES")
    if folder:
        _write(figure, Path(folder), name)
    return figure


def _write(figure: Any, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kind = _kind(figure)
    part = folder / f".{name}.{os.getpid()}.{kind}"  # parallel runs may write the same figure
    try:
        if kind == "html":
            figure.write_html(part, include_plotlyjs="directory", div_id=name)
        else:
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(part, format=kind, dpi=SAVED_DPI, metadata=metadata)
        part.replace(folder / f"{name}.{kind}")
    finally:
        part.unlink(missing_ok=True)


def _kind(figure: Any) -> str:
    if hasattr(figure, "write_html"):
        return "html"
    if not isinstance(figure, Figure):
        raise InputError(
            f"save() takes a matplotlib or a plotly figure, not {type(figure).__name__}"
        )
    drawn = [axes for axes in figure.axes if axes.images or (axes.collections and _large(axes))]
    return "png" if drawn else "svg"


def _large(axes: Any) -> bool:
    """A surface or a cloud of thousands of points is smaller as a picture."""
    sizes = [len(c.get_offsets()) if c.get_offsets() is not None else 0 for c in axes.collections]
    meshes = any(type(c).__name__ in ("QuadMesh", "Poly3DCollection") for c in axes.collections)
    return meshes or sum(sizes) > 2000
