"""Picard iteration: apply f again and again."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deqlab.core.errors import positive
from deqlab.solvers.evaluation import Evaluation


@dataclass(frozen=True)
class Picard:
    """x <- x + damping (f(x) - x); converges linearly, at the map's contraction rate for
    damping 1.
    """

    damping: float = 1.0
    needs_products: ClassVar[bool] = False
    keeps_inverse: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive("damping", self.damping)

    def init(self, x: Tensor) -> None:
        """Picard remembers nothing."""
        return None

    def step(self, state: None, at: Evaluation) -> tuple[Tensor, None]:
        """The next iterate, real (batch, n)."""
        return (at.f if self.damping == 1.0 else at.x + self.damping * at.g), state

    def select(self, state: None, index: Tensor) -> None:
        """The state of the batch members in `index`."""
        return None

    def inverse(self, state: None, at: Evaluation) -> None:
        """Picard learns nothing of (I - J)^-1."""
        return None
