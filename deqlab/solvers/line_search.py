"""Shorter steps where a full one does not help."""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.errors import InputError


@dataclass(frozen=True)
class Backtracking:
    """x + t d is accepted where ||g(x + t d)|| <= growth ||g(x)||, else t is shrunk, down to
    `least`, which is always accepted.

    A rejected trial costs one evaluation and is not wasted: it is a secant pair like any other, and
    the direction is made anew with it. growth: a little above 1 lets a residual rise now and then,
    as superlinear convergence often begins with such a step.
    """

    shrink: float = 0.3
    least: float = 0.05
    growth: float = 1.0

    def __post_init__(self) -> None:
        for name, value, low, high in (("shrink", self.shrink, 0, 1), ("least", self.least, 0, 1)):
            if not low < value < high:
                raise InputError(f"{name}: {value} given, a number between {low} and {high} needed")
        if not self.growth > 0:
            raise InputError(f"growth: {self.growth} given, a number > 0 needed")

    def accepts(self, size: Tensor, base: Tensor, length: Tensor) -> Tensor:
        """Whether each trial is the new iterate, from ||g|| there and before, and the length t of
        the step; all (batch, 1).
        """
        return (size <= self.growth * base) | (length <= self.least)

    def shorter(self, length: Tensor) -> Tensor:
        """The length to try next, (batch, 1)."""
        return (self.shrink * length).clamp_min(self.least)
