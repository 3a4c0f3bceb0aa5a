"""The house style: one look for every figure, one colour for every method."""

from __future__ import annotations

import colorsys
import hashlib
import io
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from PIL import Image

from deqlab.core.errors import InputError, one_line_warnings

DPI = 100  # of figures inside a notebook; exported files have twice as many
SAVED_DPI = 200

# Colours that stay apart for colour-blind readers and in print (after Okabe and Ito), fixed over
# the study.
METHOD_COLOURS: dict[str, str] = {
    "reference": "#222222",
    "zero-filled": "#8a8a8a",
    "cg-sense": "#0072b2",
    "sense": "#3b5b92",
    "grappa": "#56b4e9",
    "wavelet": "#b8860b",
    "tv": "#8c510a",
    "pnp": "#e78ac3",
    "de-grad": "#d55e00",
    "de-grad-measured": "#117733",
    "de-grad-joint": "#e6550d",
    "de-grad-referenced": "#fd8d3c",
    "de-prox": "#b0559b",
    "de-ridge": "#332288",
    "de-ridge-adaptive": "#7570b3",
    "de-admm": "#7b3294",
    "mol": "#66c2a5",
    "unet": "#a6761d",
    "pdnet": "#882255",
    "cascade-net": "#44aa99",
    "kiki-net": "#999933",
    "modl": "#cc6677",
    "alike-de-grad": "#ddaa33",
    "rim": "#6699cc",
    "xpdnet": "#aa4466",
    "ncpdnet": "#1b7f79",
    "automap": "#555577",
    "unrolled": "#009e73",
    "picard": "#5b6f8c",
    "anderson": "#d55e00",
    "broyden": "#009e73",
    "adjoint broyden": "#56b4e9",
    "random": "#d55e00",
    "equispaced": "#0072b2",
}
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#b0559b", "#56b4e9", "#b8860b", "#5b6f8c", "#222222")

_INK = "#2b2b2b"
_GRID = "#e4e4e4"
_RC = {
    "figure.dpi": DPI,
    "savefig.dpi": SAVED_DPI,
    "figure.facecolor": "white",
    "figure.figsize": (6.4, 3.6),
    "font.family": "DejaVu Sans",  # ships with matplotlib, so figures look alike on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": "#9a9a9a",
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#6a6a6a",
    "ytick.color": "#6a6a6a",
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "text.color": _INK,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",  # a pixel is shown as a pixel, and the file stays small
    "svg.hashsalt": "deqlab",  # the same figure gives the same file
    "axes.prop_cycle": cycler(color=CYCLE),
}


def style() -> None:
    """Every matplotlib and plotly figure made afterwards has the house style; Jupyter shows a small
    PNG.
    """
    matplotlib.rcParams.update(_RC)  # type: ignore[arg-type]  # its names are literals there
    _style_plotly()
    _style_notebook()


def colour(name: str, position: int | None = None) -> str:
    """The method's fixed colour. For a name that has none: the one at `position` of the cycle, or a
    colour that follows from the name alone, so that a new method is drawn alike everywhere.
    """
    if name in METHOD_COLOURS:
        return METHOD_COLOURS[name]
    if position is not None:
        return CYCLE[position % len(CYCLE)]
    digest = hashlib.sha256(name.encode()).digest()
    hue, light = digest[0] / 256, 0.35 + 0.2 * digest[1] / 256
    return matplotlib.colors.to_hex(colorsys.hls_to_rgb(hue, light, 0.65))


def to_array(values: Any) -> np.ndarray:
    """A numpy array of the values: from numpy, lists, or tensors on any device, with or without
    gradient.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().resolve_conj().resolve_neg().numpy()
    return np.asarray(values)


def to_picture(values: Any) -> np.ndarray:
    """The real (y, x) image that is drawn: complex becomes magnitude, axes of length 1 go, NaN is
    0.
    """
    picture = to_array(values)
    while picture.ndim > 2 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim != 2:
        raise InputError(f"a picture has two axes (y, x), but this array has shape {picture.shape}")
    if np.iscomplexobj(picture):
        picture = np.abs(picture)
    return np.nan_to_num(picture.astype(np.float32), nan=0.0)


def _style_plotly() -> None:
    import plotly.graph_objects as go
    import plotly.io as pio

    axis = {
        "gridcolor": _GRID,
        "zerolinecolor": _GRID,
        "linecolor": "#9a9a9a",
        "ticks": "outside",
        "automargin": True,
    }
    pio.templates["deqlab"] = go.layout.Template(
        layout={
            "font": {"family": "DejaVu Sans, Verdana, sans-serif", "size": 13, "color": _INK},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "colorway": list(CYCLE),
            "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
            "xaxis": axis,
            "yaxis": axis,
        }
    )
    pio.templates.default = "deqlab"


def _style_notebook() -> None:
    """Figures in a Jupyter kernel become small PNGs, and warnings single lines; elsewhere there is
    nothing to set.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if getattr(shell, "kernel", None) is None:
        return
    one_line_warnings()
    # pyplot sets a format of its own when it is first imported, so that has to come before.
    import matplotlib.pyplot  # noqa: F401

    shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)


def small_png(figure: Figure) -> bytes:
    """The figure as a PNG on its own pixel grid: without loss where it is grey, else in 256
    colours.

    A third of the size of the usual one (which has an alpha channel), so that notebooks stay small.
    No tight box is cut: that would move pictures off the pixel grid, which blurs them.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    picture = Image.open(buffer).convert("RGB")
    red, green, blue = picture.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        picture = red
    else:
        picture = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, format="png", optimize=True)
    return small.getvalue()
