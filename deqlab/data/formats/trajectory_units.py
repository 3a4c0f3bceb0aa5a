"""The unit of a trajectory, which a file and its writer name alike."""

import math
from pathlib import Path

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

NAME = "trajectory_unit"
PIXEL = "cycles per pixel"
FIELD_OF_VIEW = "cycles per field of view"
UNITS = (FIELD_OF_VIEW, PIXEL, "radians per pixel", "cycles per metre")


def per_pixel(
    unit: str, matrix: tuple[int, int], field_of_view: tuple[float, float] | None, path: Path
) -> np.ndarray:
    """What positions (ky, kx) in `unit` have to be multiplied by to be in cycles per pixel, float64
    (2,).

    matrix: (rows, columns). field_of_view: of the image in mm, which cycles per metre need.
    InputError, one line with the name of the file, for another unit.
    """
    if unit == PIXEL:
        return np.ones(2)
    if unit == FIELD_OF_VIEW:
        return 1 / np.asarray(matrix, np.float64)
    if unit == "radians per pixel":
        return np.full(2, 1 / (2 * math.pi))
    if unit not in UNITS:
        raise InputError(
            f"{path}: attribute {NAME} is {unit[:40]!r}{nearest(unit, UNITS)}; valid:"
            f" {', '.join(UNITS)}"
        )
    if field_of_view is None:
        raise InputError(
            f"{path}: {NAME} {unit!r} needs the attribute field_of_view, (rows, columns) in mm"
        )
    return np.asarray(field_of_view) / 1000 / np.asarray(matrix)
