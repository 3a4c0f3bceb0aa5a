"""A reconstruction at a glance: its input, what it changed, and how far each slice was solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deqlab.core.errors import InputError

from .style import DPI, colour, to_picture

_PANEL, _SIDE = 2.8, 2.6  # inches of a picture's longer side, and of the column beside them
_GAINS = [digit * 10**power for power in range(4) for digit in (1, 2, 5)]
_SETTLED, _UNSETTLED = colour("zero-filled"), "#d55e00"


def quick_look(
    slices: Mapping[str, tuple[Any, Any]],
    *,
    name: str,
    mask: Any = None,
    residual: Mapping[int, float] | None = None,
    converged: Sequence[bool] = (),
) -> Figure:
    """A figure of slices, one a row: zero-filled, result and |result - zero-filled| with its gain,
    all on one grey scale from 0 to the largest value; beside them mask and residual where known.

    slices: name -> (zero-filled, result), each (y, x). name: of the method. mask: bool (columns,)
    or (rows, columns), centred. residual: number of a slice -> relative residual of its solve, of
    slices that are not shown too; converged: of the same, in order. InputError for no slices.
    """
    if not slices:
        raise InputError("slices: none given, one or more needed")
    pairs = [(to_picture(before), to_picture(after)) for before, after in slices.values()]
    top = max(float(picture.max()) for pair in pairs for picture in pair) or 1.0
    # Scaled in double precision, so that the faintest images are drawn like others.
    scaled = [[picture.astype(np.float64) / top for picture in pair] for pair in pairs]
    differences = [np.abs(after - before) for before, after in scaled]
    gain = _gain(max(float(difference.max()) for difference in differences))

    sides = (mask is not None) + bool(residual)
    height, width = np.max([before.shape for before, _ in pairs], axis=0)
    unit = _PANEL / max(height, width)
    size = (3 * width * unit + (_SIDE if sides else 0), (height * unit + 0.3) * len(pairs))
    figure = Figure(figsize=(size[0], max(size[1], 2.0)), dpi=DPI, layout="constrained")
    ratios = [width * unit] * 3 + ([_SIDE] if sides else [])
    grid = figure.add_gridspec(len(pairs), len(ratios), width_ratios=ratios)
    heads = ("zero-filled", name, f"|difference| × {gain:g}")
    for row, (label, pair, difference) in enumerate(zip(slices, scaled, differences)):
        panels = (*pair, gain * difference)
        for column, (head, panel) in enumerate(zip(heads, panels)):
            axes = figure.add_subplot(grid[row, column])
            cmap = "magma" if column == 2 else "gray"
            axes.imshow(panel, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(f"{head}, {label}" if column == 1 else head, fontsize=8, loc="center")
            axes.set_axis_off()
    if sides:
        # Beside several rows each takes the height of one.
        rows = max(sides, len(pairs))
        beside = grid[:, 3].subgridspec(rows, 1)
        if mask is not None:
            _draw_mask(figure.add_subplot(beside[0]), np.asarray(mask))
        if residual:
            _draw_residual(figure.add_subplot(beside[sides - 1]), residual, converged)
    return figure


def _gain(largest: float) -> float:
    """The largest of 1, 2, 5, 10, ... that leaves the difference inside the grey scale."""
    return max((gain for gain in _GAINS if gain * largest <= 1), default=1)


def _draw_mask(axes: Axes, mask: np.ndarray) -> None:
    """What was sampled, white; lines as tall as the panel."""
    picture = mask if mask.ndim == 2 else np.broadcast_to(mask, (len(mask), len(mask)))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(f"mask, {1 / max(mask.mean(), 1e-9):.1f}x", fontsize=8, loc="center")
    axes.set(xticks=[], yticks=[])


def _draw_residual(axes: Axes, residual: Mapping[int, float], converged: Sequence[bool]) -> None:
    """A dot for every slice; those that are no equilibria in another colour."""
    numbers, values = np.array(list(residual)), np.array(list(residual.values()))
    settled = np.array(converged, bool) if len(converged) else np.ones(len(values), bool)
    for kind, word, shade in (
        (settled, "converged", _SETTLED),
        (~settled, "not converged", _UNSETTLED),
    ):
        if kind.any():
            label = f"{word}: {kind.sum()}"
            axes.plot(numbers[kind], values[kind], "o", ms=4, color=shade, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("slice", fontsize=8)
    drawn = values[np.isfinite(values) & (values > 0)]
    if drawn.size:
        # Whole decades, so that small differences look small.
        low, high = np.floor(np.log10(drawn.min())), np.floor(np.log10(drawn.max())) + 1
        axes.set_ylim(10.0**low, 10.0**high)
    axes.set_title("relative residual", fontsize=8, loc="center")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)
