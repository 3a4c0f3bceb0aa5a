"""Picard iteration: apply f again and again."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Picard:
    """x <- x + damping (f(x) - x); converges linearly, at the map's contraction rate for damping 1."""

    damping: float = 1.0

    def init(self, x: Tensor) -> None:
        """Picard remembers nothing."""
        return None

    def step(self, state: None, x: Tensor, fx: Tensor) -> tuple[Tensor, None]:
        """The next iterate from x and f(x), real (batch, n)."""
        return (fx if self.damping == 1.0 else x + self.damping * (fx - x)), state

    def select(self, state: None, index: Tensor) -> None:
        """The state of the batch members in `index`."""
        return None
