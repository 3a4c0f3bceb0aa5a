"""Images of no anatomy at all: shapes that hide one another, with edges and textures at all scales.

A. B. Lee, D. Mumford and J. Huang, Occlusion models for natural images, IJCV 41 (2001): leaves
whose sizes are distributed as radius^-3 have the statistics of natural images. Here it is radius^-2
between limits, so that large leaves are not too rare in small images.
"""

import numpy as np
import torch
from torch import Tensor

LEAVES = (20, 90)
SMALLEST = 2.5  # pixels; a drawn share of 1 gives this radius
LARGEST = 0.6  # of the rows


def dead_leaves(random: np.random.Generator, shape: tuple[int, int]) -> Tensor:
    """Ellipses and boxes that hide one another, some striped: complex64 `shape`, each leaf with an
    intensity and, in half of the images, with a phase of its own.
    """
    image = np.zeros(shape, np.complex64)
    phases = random.random() < 0.5
    for _ in range(int(random.integers(*LEAVES))):
        _add_leaf(image, random, phases)
    return torch.from_numpy(image)


def _add_leaf(image: np.ndarray, random: np.random.Generator, phases: bool) -> None:
    rows, columns = image.shape
    radius = min(LARGEST * rows, SMALLEST / random.uniform(0.02, 1.0))
    y, x = random.uniform(0, rows), random.uniform(0, columns)
    reach = int(1.5 * radius) + 2
    top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
    bottom, right = min(int(y) + reach, rows), min(int(x) + reach, columns)
    v, u = np.mgrid[top:bottom, left:right].astype(np.float32)
    angle, ratio = random.uniform(0, np.pi), random.uniform(0.4, 1.0)
    along = (u - x) * np.cos(angle) + (v - y) * np.sin(angle)
    across = ((v - y) * np.cos(angle) - (u - x) * np.sin(angle)) / ratio
    if random.random() < 0.7:
        distance = np.hypot(along, across) - radius
    else:
        distance = np.maximum(np.abs(along), np.abs(across)) - radius
    # An edge that runs through a pixel covers a part of it.
    share = np.clip(0.5 - distance, 0, 1)
    value: complex | np.ndarray = 0 if random.random() < 0.2 else random.uniform(0.05, 1)
    if random.random() < 0.3:
        depth, wave = random.uniform(0.05, 0.5), random.uniform(0.2, 2.5)
        value = value * (1 + depth * np.sin(along * wave + random.uniform(0, 2 * np.pi)))
    if phases:
        value = value * np.exp(1j * random.uniform(-np.pi, np.pi))
    window = image[top:bottom, left:right]
    window += share * (value - window)
