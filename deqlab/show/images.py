"""Pictures side by side on one grey scale, with error maps whose gain is stated."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deqlab.core.errors import InputError

from .style import DPI, to_picture

_PANEL = 250  # pixels on the screen that a picture's longer side should come near to
_GAP, _MARGIN, _LINE = 10, 8, 17  # pixels between panels, around the figure, and per line of text


def image_grid(
    images: dict,
    *,
    vmin: float = 0.0,
    vmax: float | None = None,
    error_against: Any = None,
    error_gain: float = 5.0,
    captions: dict[str, str] | None = None,
    title: str | None = None,
    columns: int = 4,
    cmap: str = "gray",
    own_scale: tuple[str, ...] = (),
) -> Figure:
    """A figure of all images on the same grey scale, drawn pixel by pixel, each under its name.

    images: name -> (y, x) array, real or complex (the magnitude is drawn); sizes may differ.
    vmin, vmax: the grey scale; vmax defaults to the largest value of the images that share it.
    error_against: a name among `images`, or an array: adds maps of error_gain * |magnitude -
    reference|, and states the gain.
    captions: name -> a second, smaller line, such as a PSNR.
    columns: pictures a row. own_scale: names drawn from their own minimum to maximum (a mask, log
    k-space). Raises InputError for an image that has not two axes, and for an error map between
    different sizes.
    """
    pictures = {name: to_picture(image) for name, image in images.items()}
    for name in (*own_scale, *(captions or {})):
        if name not in pictures:
            raise InputError(f"{name!r} names no image of this figure: {', '.join(pictures)}")
    shared = [picture for name, picture in pictures.items() if name not in own_scale]
    vmax = max((float(picture.max()) for picture in shared), default=1.0) if vmax is None else vmax
    errors = _errors(pictures, error_against, own_scale)

    names = list(pictures)
    columns = min(columns, len(names))
    shown = {name: _screen_size(picture.shape) for name, picture in pictures.items()}
    cell_w = max(width for _, width in shown.values())
    cell_h = max(height for height, _ in shown.values())
    labels = {name: textwrap.wrap(name, max(8, int(cell_w / 8.4))) for name in names}
    head = _LINE * max(map(len, labels.values())) + (_LINE - 2 if captions else 0) + 5
    block = head + cell_h + ((cell_h + _GAP) if errors else 0)
    rows = -(-len(names) // columns)
    left, top = _MARGIN + (22 if errors else 0), _MARGIN + (30 if title else 0)
    width = left + columns * cell_w + (columns - 1) * _GAP + _MARGIN
    height = top + rows * block + (rows - 1) * 2 * _GAP + _MARGIN

    figure = Figure(
        figsize=(width / DPI, height / DPI),
        dpi=DPI,
        layout="none",  # type: ignore[arg-type]  # matplotlib's annotations have forgotten it
        facecolor="white",
    )
    if title:
        figure.text(
            left / width,
            1 - (_MARGIN + 4) / height,
            title,
            va="top",
            fontsize=12,
            fontweight="bold",
        )
    for index, name in enumerate(names):
        x = left + (index % columns) * (cell_w + _GAP)
        y = top + (index // columns) * (block + 2 * _GAP)
        label, caption = "\n".join(labels[name]), (captions or {}).get(name)
        baseline = y + head - 5 - (_LINE - 2 if captions else 0)
        figure.text(
            (x + cell_w / 2) / width,
            1 - baseline / height,
            label,
            ha="center",
            va="bottom",
            fontsize=10.5,
        )
        if caption:
            figure.text(
                (x + cell_w / 2) / width,
                1 - (y + head - 4) / height,
                caption,
                ha="center",
                va="bottom",
                fontsize=9,
                color="#666666",
            )
        own = name in own_scale
        low, high = (
            (float(pictures[name].min()), float(pictures[name].max())) if own else (vmin, vmax)
        )
        _draw(figure, pictures[name], shown[name], (x, y + head, cell_w, cell_h), low, high, cmap)
        if name in errors:
            box = (x, y + head + cell_h + _GAP, cell_w, cell_h)
            _draw(figure, error_gain * errors[name], shown[name], box, 0.0, vmax, "magma")
        if errors and index % columns == 0:
            middle = y + head + cell_h + _GAP + cell_h / 2
            figure.text(
                _MARGIN / width,
                1 - middle / height,
                f"|error| × {error_gain:g}",
                rotation=90,
                va="center",
                fontsize=9.5,
                color="#666666",
            )
    return figure


def _errors(pictures: dict, against: Any, own_scale: tuple[str, ...]) -> dict[str, np.ndarray]:
    if against is None:
        return {}
    if isinstance(against, str) and against not in pictures:
        raise InputError(
            f"error_against={against!r} names no image of this figure: {', '.join(pictures)}"
        )
    reference = pictures[against] if isinstance(against, str) else to_picture(against)
    compared = [
        name
        for name in pictures
        if name not in own_scale and not (isinstance(against, str) and name == against)
    ]
    for name in compared:
        if pictures[name].shape != reference.shape:
            raise InputError(
                f"no error map: {name!r} is {pictures[name].shape}, the reference {reference.shape}"
            )
    return {name: np.abs(pictures[name] - reference) for name in compared}


def _screen_size(shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) on the screen: whole screen pixels per image pixel, unless the image is too
    large.
    """
    longest = max(shape)
    zoom = max(1, round(_PANEL / longest)) if longest <= 1.5 * _PANEL else _PANEL / longest
    return max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom))


def _draw(
    figure: Figure,
    picture: np.ndarray,
    size: tuple[int, int],
    box: Sequence[float],
    low: float,
    high: float,
    cmap: str,
) -> None:
    width, height = figure.get_figwidth() * DPI, figure.get_figheight() * DPI
    x = round(box[0] + (box[2] - size[1]) / 2)
    y = round(box[1] + (box[3] - size[0]) / 2)
    axes = figure.add_axes(
        (x / width, 1 - (y + size[0]) / height, size[1] / width, size[0] / height)
    )
    axes.imshow(
        picture,
        cmap=cmap,
        vmin=low,
        vmax=high if high > low else low + 1,
        interpolation="nearest",
        aspect="auto",
        interpolation_stage="data",
    )
    axes.set_axis_off()
