"""Complex images as pairs of pictures: magnitude in grey, phase in a circle of colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deqlab.core.errors import InputError

from .style import to_array

_PANEL, _HEAD = 1.3, 0.3  # inches of a picture's side and of the words above it
# Where an image has less than this share of its maximum its phase says nothing, and none is drawn.
_VISIBLE = 0.03


def gallery(images: Mapping[str, Any], *, columns: int = 10, title: str | None = None) -> Figure:
    """A figure of complex images, each magnitude above its phase and under its name.

    images: name -> complex (y, x); sizes may differ. columns: images a row. Each magnitude is drawn
    from 0 to its maximum; phases go from -pi to pi. InputError for no images, and for one that has
    not two axes.
    """
    if not images:
        raise InputError("images: none given, one or more needed")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (_PANEL * columns, (2 * _PANEL + _HEAD) * rows + (_HEAD if title else 0))
    figure = Figure(figsize=size, layout="constrained")
    panels = np.atleast_2d(figure.subplots(2 * rows, columns, squeeze=False))
    for axes in panels.flat:
        axes.axis("off")
    for place, (name, image) in enumerate(images.items()):
        values = to_array(image)
        if values.ndim != 2:
            raise InputError(f"{name}: {values.ndim} axes given, (y, x) needed")
        row, column = 2 * (place // columns), place % columns
        size_of = np.abs(values)
        phase = np.where(size_of > _VISIBLE * size_of.max(), np.angle(values), np.nan)
        panels[row, column].imshow(size_of, cmap="gray", vmin=0)
        panels[row, column].set_title(name, fontsize=6, loc="center", pad=2)
        panels[row + 1, column].imshow(phase, cmap="twilight", vmin=-np.pi, vmax=np.pi)
    if title:
        figure.suptitle(title)
    return figure
