"""What a metric promises to those who judge by it, and the volumes that all metrics take."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

# Which way is better; "zero": the nearer to zero, from either side.
Better = Literal["higher", "lower", "zero"]


class Metric(Protocol):
    """One number for a volume. better: which way is better. title, digits: in tables."""

    better: ClassVar[Better]
    title: ClassVar[str]
    digits: ClassVar[int]

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """From magnitude volumes (slices, y, x). maximum: the data range, that of the target volume
        where None.
        """


class PhaseMetric(ABC):
    """Base of metrics that look at the phase: who judges gives them complex volumes."""

    @abstractmethod
    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """As that of a `Metric`, from complex volumes."""


def volumes(target: ArrayLike, image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64; ValueError unless they are volumes of one shape."""
    return _pair(np.asarray(target, dtype=np.float64), np.asarray(image, dtype=np.float64))


def complex_volumes(target: ArrayLike, image: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as complex128; ValueError unless they are volumes of one shape."""
    return _pair(np.asarray(target, dtype=np.complex128), np.asarray(image, dtype=np.complex128))


def merit(better: Better, score: float) -> float:
    """A number that is larger the better a score is."""
    return {"higher": score, "lower": -score, "zero": -abs(score)}[better]


def _pair(target: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if target.ndim != 3 or target.shape != image.shape:
        raise ValueError(
            "volumes with three axes (slices, y, x) and of one shape needed, got"
            f" {target.shape} and {image.shape}"
        )
    return target, image
