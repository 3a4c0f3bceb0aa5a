"""What is in a scan, on one page: its image, its samples, its coils and their noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deqlab.core.errors import InputError

from .style import DPI, to_picture

_SIDE, _SMALL = 2.7, 1.35  # inches of a panel of the first row, and of those of coils
_DECADES = 4.0  # of k-space that are drawn, below its largest sample
MOST_COILS = 8  # that are drawn


def scan_page(
    image: Any,
    kspace: Any,
    *,
    title: str,
    positions: Any = None,
    mask: Any = None,
    covariance: Any = None,
    coils: Sequence[Any] = (),
    maps: Sequence[Any] = (),
) -> Figure:
    """A figure: the image and the samples, the mask and the noise of coils where they are known,
    and below them coil images and coil maps, the first few of each, on a scale of its own, with
    its largest value as a share of the row's in its title.

    image: (y, x), drawn as its magnitude. kspace: real or complex magnitudes of samples, (rows,
    columns), or (samples,) with `positions`, (samples, 2) with columns (ky, kx) in cycles per
    pixel. mask: bool (columns,) or (rows, columns). covariance: (coil, coil). coils, maps: one
    (y, x) each. InputError for samples of another shape.
    """
    samples = np.abs(np.asarray(kspace))
    if samples.ndim != (2 if positions is None else 1):
        raise InputError(f"kspace: shape {samples.shape} given, (rows, columns) needed")
    heads = 2 + (mask is not None) + (covariance is not None)
    rows = [shown for shown in (list(coils)[:MOST_COILS], list(maps)[:MOST_COILS]) if shown]
    names = [name for name, shown in (("coil", coils), ("map", maps)) if len(shown)]
    width = max(heads * _SIDE, max(map(len, rows), default=0) * _SMALL)
    heights = [_SIDE, *[_SMALL] * len(rows)]
    figure = Figure(figsize=(width, sum(heights) + 0.5), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    first = grid[0].subgridspec(1, heads)
    panels = iter(figure.add_subplot(first[at]) for at in range(heads))

    axes = next(panels)
    axes.imshow(to_picture(image), cmap="gray", vmin=0, interpolation="nearest")
    _named(axes, "zero-filled image")
    _draw_samples(next(panels), samples, positions)
    if mask is not None:
        kept = np.asarray(mask, bool)
        drawn = kept if kept.ndim == 2 else np.broadcast_to(kept, (samples.shape[0], len(kept)))
        axes = next(panels)
        axes.imshow(drawn, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        _named(axes, f"mask, {1 / max(kept.mean(), 1e-9):.1f}x")
    if covariance is not None:
        axes = next(panels)
        axes.imshow(np.abs(np.asarray(covariance)), cmap="magma", vmin=0, interpolation="nearest")
        _named(axes, "|noise covariance| of coils")
    for row, (name, shown) in enumerate(zip(names, rows), 1):
        places = grid[row].subgridspec(1, len(shown))
        pictures = [to_picture(one) for one in shown]
        largest = [float(picture.max()) for picture in pictures]
        top = max(largest) or 1.0
        for at, picture in enumerate(pictures):
            axes = figure.add_subplot(places[at])
            axes.imshow(picture, cmap="gray", vmin=0, interpolation="nearest")
            _named(axes, f"{name} {at}: {largest[at] / top:.2g}")
    return figure


def _draw_samples(axes: Axes, samples: np.ndarray, positions: Any) -> None:
    """The logarithm of magnitudes, on the grid or where they lie."""
    top = float(samples.max()) or 1.0
    levels = np.log10(np.maximum(samples / top, 10**-_DECADES))
    if positions is None:
        axes.imshow(levels, cmap="gray", vmin=-_DECADES, vmax=0, interpolation="nearest")
        _named(axes, f"k-space, {_DECADES:g} decades")
        return
    places = np.asarray(positions)
    axes.scatter(places[:, 1], -places[:, 0], c=levels, s=0.6, cmap="viridis", vmin=-_DECADES)
    axes.set(xlim=(-0.52, 0.52), ylim=(-0.52, 0.52), aspect="equal")
    _named(axes, f"k-space, {_DECADES:g} decades, where it was sampled")


def _named(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=8, loc="center")
    axes.set(xticks=[], yticks=[])
