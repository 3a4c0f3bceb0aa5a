"""Images of a vessel of fluid in air: large, nearly uniform, with a sharp edge, as phantoms are.

A network that has seen nothing but anatomy takes a wide even surface for something to be filled
with anatomy, and the ghosts of its edge for that.
"""

import math

import numpy as np
import torch
from torch import Tensor

# Semi-axes of the vessel, as shares of the image's sides; of what lies in it, as shares of its own.
VESSEL, INSERT = (0.2, 0.46), (0.03, 0.35)
MOST_INSERTS = 6
WALL = 0.04  # of the semi-axis at most: plastic has no signal, a second layer may have


def uniform_object(random: np.random.Generator, shape: tuple[int, int]) -> Tensor:
    """A vessel with a few inserts, holes and bars, complex64 `shape`, of signal 1 in the fluid."""
    middle = random.uniform(-0.05, 0.05, 2)
    sides, angle = random.uniform(*VESSEL, 2), random.uniform(-math.pi, math.pi)
    corners = float(random.choice([2.0, 2.0, 4.0, 8.0]))  # 2: an ellipse; 8: nearly a box
    image = _cover(shape, middle, sides, angle, corners)
    if random.random() < 0.3:
        thin = 1 - 2 * random.uniform(0, WALL)
        image = image - 0.9 * _cover(shape, middle, sides * thin, angle, corners)
        image = image + 0.9 * _cover(shape, middle, sides * thin**2, angle, corners)
    for _ in range(int(random.integers(0, MOST_INSERTS + 1))):
        place = middle + random.uniform(-0.6, 0.6, 2) * sides
        size = random.uniform(*INSERT, 2) * sides.min()
        share = _cover(shape, place, size, random.uniform(-math.pi, math.pi), 2.0)
        image = image + share * (random.uniform(0, 1.3) - 1) * (image > 0.5)
    return torch.from_numpy(image.astype(np.complex64))


def _cover(
    shape: tuple[int, int], middle: np.ndarray, sides: np.ndarray, angle: float, corners: float
) -> np.ndarray:
    """How much of each pixel a superellipse covers, (y, x)."""
    rows, columns = shape
    v = (np.arange(rows)[:, None] + 0.5) / rows - 0.5 - middle[0]
    u = (np.arange(columns)[None] + 0.5) / columns - 0.5 - middle[1]
    across = (u * math.cos(angle) + v * math.sin(angle)) / sides[1]
    along = (v * math.cos(angle) - u * math.sin(angle)) / sides[0]
    distance = (np.abs(across) ** corners + np.abs(along) ** corners) ** (1 / corners) - 1
    # An edge that runs through a pixel covers a part of it.
    return np.clip(0.5 - distance * float(sides.min()) * min(shape), 0, 1)
