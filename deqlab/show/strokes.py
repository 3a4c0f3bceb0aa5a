"""Lines drawn into a picture's pixels, so that a live canvas can show a path, an arrow or a
curve.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from deqlab.core.errors import InputError

from .style import to_array, to_picture


def stroke(picture: Any, path: Any, *, width: float = 2.0, shade: float = 1.0) -> np.ndarray:
    """A copy of the picture, real (y, x), with a smooth line through the points of `path`; what
    lies outside is cut off.

    path: (points, 2), x to the right and y upwards, both from 0 to 1 across the picture. width: in
    pixels. shade: grey value of the line. Raises InputError for a path that is no list of at least
    two finite points.
    """
    picture, points = to_picture(picture), to_array(path).astype(np.float32)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise InputError(
            "stroke: a path has at least two finite points (x, y), but this array has shape"
            f" {points.shape}"
        )
    height, across = picture.shape
    x, y = np.meshgrid(np.arange(across) + 0.5, height - 0.5 - np.arange(height))
    points = points * (across, height)
    distance = np.full(picture.shape, np.inf)
    for begin, end in itertools.pairwise(points):
        step = end - begin
        along = ((x - begin[0]) * step[0] + (y - begin[1]) * step[1]) / max(step @ step, 1e-12)
        along = np.clip(along, 0, 1)
        distance = np.minimum(
            distance, np.hypot(x - begin[0] - along * step[0], y - begin[1] - along * step[1])
        )
    cover = np.clip(width / 2 + 0.5 - distance, 0, 1)  # half a pixel of softness at the border
    return picture * (1 - cover) + shade * cover
