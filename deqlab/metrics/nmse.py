"""Normalised mean squared error."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import options
from deqlab.metrics.protocol import Better, volumes


@options
class NMSE:
    """||image - target||^2 / ||target||^2 over the volume; it needs no data range."""

    better: ClassVar[Better] = "lower"
    title: ClassVar[str] = "NMSE"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x)."""
        target, image = volumes(target, image)
        return float(np.sum((image - target) ** 2) / np.sum(target**2))


nmse = NMSE()
