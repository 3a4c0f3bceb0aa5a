"""What a metric promises to those who judge by it, and the volumes that all metrics take."""

from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

Better = Literal["higher", "lower"]


class Metric(Protocol):
    """One number for a volume. better: which way is better. title, digits: in tables."""

    better: ClassVar[Better]
    title: ClassVar[str]
    digits: ClassVar[int]

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """From magnitude volumes (slices, y, x). maximum: the data range, that of the target volume
        where None.
        """


def volumes(target: ArrayLike, image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64; ValueError unless they are volumes of one shape."""
    pair = np.asarray(target, dtype=np.float64), np.asarray(image, dtype=np.float64)
    if pair[0].ndim != 3 or pair[0].shape != pair[1].shape:
        raise ValueError(
            "volumes with three axes (slices, y, x) and of one shape needed, got"
            f" {pair[0].shape} and {pair[1].shape}"
        )
    return pair
