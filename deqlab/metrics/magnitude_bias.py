"""Whether images come out too dark or too bright."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import options
from deqlab.metrics.convention import Convention
from deqlab.metrics.protocol import Better, volumes


@options
class MagnitudeBias(Convention):
    """The image's brightness over the target's, less one: the sum of (image - target) over the sum
    of the target. -0.1 is ten per cent too dark; it needs no data range.
    """

    better: ClassVar[Better] = "zero"
    title: ClassVar[str] = "magnitude bias"
    digits: ClassVar[int] = 3

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x)."""
        return self.score(_bias, *volumes(target, image))


magnitude_bias = MagnitudeBias()


def _bias(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
    return float((image - target)[inside].sum() / target[inside].sum())
