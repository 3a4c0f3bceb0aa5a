"""Normalised mean squared error."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import options
from deqlab.metrics.convention import Convention
from deqlab.metrics.protocol import Better, volumes


@options
class NMSE(Convention):
    """||image - target||^2 / ||target||^2 over the volume; it needs no data range."""

    better: ClassVar[Better] = "lower"
    title: ClassVar[str] = "NMSE"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x)."""
        return self.score(_nmse, *volumes(target, image))


nmse = NMSE()


def _nmse(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
    target, image = target[inside], image[inside]
    return float(np.sum((image - target) ** 2) / np.sum(target**2))
