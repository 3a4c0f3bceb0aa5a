"""One knob the reader turns: a draw function, first as a still picture, then live."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from deqlab.core.errors import InputError

from .canvas import ImageCanvas
from .images import image_grid

# The values of the controls, by name, to (images, title).
Draw = Callable[..., tuple[Any, str]]


class Explorer(ipywidgets.VBox):
    """Sliders above a canvas. `.controls`: name -> widget; `.canvas`; `.still`: its first
    figure.
    """

    def __init__(self, draw: Draw, canvas: ImageCanvas, controls: dict, still: Figure) -> None:
        self.draw, self.canvas, self.controls, self.still = draw, canvas, controls, still
        super().__init__([*(_row(name, control) for name, control in controls.items()), canvas])
        for control in controls.values():
            control.observe(self._redraw, names="value")

    def _redraw(self, _change: Any) -> None:
        try:
            images, title = self.draw(
                **{name: control.value for name, control in self.controls.items()}
            )
        except Exception as error:
            self.canvas.title = (
                str(error) or type(error).__name__
            )  # the picture stays; the reader reads why
            raise
        self.canvas.update(images, title)

    def __repr__(self) -> str:
        return f"(live in JupyterLab: run this cell, then move {', '.join(self.controls)})"


def explore(draw: Draw, canvas: ImageCanvas | None = None, /, **controls: Any) -> Explorer:
    """A live figure of `draw`; its first picture was also displayed as a still, for readers without
    a kernel.

    draw: called with one value per control, by name; returns (images, title), as
        `ImageCanvas.update` needs.
    canvas: where to draw; default one window of (0, 1) for all panels.
    controls: name -> range (slider of integers), (low, high, step) (slider), list (slider over its
    values, or buttons when they are texts), or any ipywidget. A control starts at draw's default
    for its argument. Raises InputError for a control that draw does not take, or a default outside
    a control's range.
    """
    taken = inspect.signature(draw).parameters
    for name in controls:
        if name not in taken:
            raise InputError(f"explore: draw takes no argument {name!r}, only {', '.join(taken)}")
    knobs = {name: _control(name, kind, taken[name].default) for name, kind in controls.items()}
    canvas = canvas or ImageCanvas()
    images, title = draw(**{name: knob.value for name, knob in knobs.items()})
    canvas.update(images, title)
    still = _still(canvas)
    display(still)
    return Explorer(draw, canvas, knobs, still)


def _control(name: str, kind: Any, start: Any) -> ipywidgets.Widget:
    if isinstance(kind, ipywidgets.Widget):
        return kind
    look = {
        "description": _spoken(name),
        "style": {"description_width": "8em"},
        "layout": {"width": "30em"},
    }
    if isinstance(kind, range):
        values, made = list(kind), ipywidgets.IntSlider
    elif isinstance(kind, tuple) and len(kind) == 3:
        values, made = list(kind[:2]), ipywidgets.FloatSlider
    elif isinstance(kind, list) and kind:
        values, made = kind, None
    else:
        raise InputError(
            f"explore: {name} needs a range, (low, high, step), a list or a widget, not {kind!r}"
        )
    start = values[0] if start is inspect.Parameter.empty else start
    inside = start in values if made is None else min(values) <= start <= max(values)
    if not inside:
        raise InputError(f"explore: {name} starts at {start!r}, which is not within {kind!r}")
    if made is None:
        if all(isinstance(value, str) for value in values):
            return ipywidgets.ToggleButtons(
                options=values, value=start, style={"button_width": "9em"}
            )
        return ipywidgets.SelectionSlider(options=values, value=start, **look)
    step = kind.step if isinstance(kind, range) else kind[2]
    return made(value=start, min=min(values), max=max(values), step=step, **look)


def _row(name: str, control: ipywidgets.Widget) -> ipywidgets.Widget:
    """The control with its name to the left, which buttons alone would put above themselves."""
    if not isinstance(control, ipywidgets.ToggleButtons):
        return control
    label = ipywidgets.Label(
        _spoken(name), layout={"width": "8em", "display": "flex", "justify_content": "flex-end"}
    )
    return ipywidgets.HBox([label, control])


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _still(canvas: ImageCanvas) -> Figure:
    """The canvas as a figure. Panels are scaled to their windows first, so that all share one grey
    scale.
    """
    shown = {}
    offset = 0
    for panel in canvas.panels:
        size = panel["height"] * panel["width"]
        shown[panel["name"]] = _from_bytes(canvas.pixels[offset : offset + size], panel)
        offset += size
    return image_grid(shown, vmax=1.0, title=canvas.title or None)


def _from_bytes(pixels: bytes, panel: dict) -> np.ndarray:
    return np.frombuffer(pixels, np.uint8).reshape(panel["height"], panel["width"]) / 255.0
