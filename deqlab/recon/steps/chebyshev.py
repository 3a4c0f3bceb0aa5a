"""A polynomial in place of an inverse: Chebyshev iteration, a fixed number of products and no inner
products.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True)
class ChebyshevInverse:
    """P = p(M), p a polynomial with |1 - lambda p(lambda)| <= accuracy on [lowest, largest], which
    hold the eigenvalues of a Hermitian M.

    lowest, largest: positive, real tensors that broadcast against the images (batch, y, x): each
    sample has its own interval. P is one linear map, Hermitian and positive definite, as an
    iteration that stops by a residual is not; so it may stand inside a map that is to be
    differentiated. The degree is the least that reaches the accuracy on the widest interval: about
    sqrt(largest / lowest) log(2 / accuracy) / 2.
    Source: Y. Saad, Iterative methods for sparse linear systems, 2nd ed., SIAM (2003), algorithm
        12.1.
    """

    lowest: Tensor
    largest: Tensor
    accuracy: float

    @cached_property
    def degree(self) -> int:
        """Products with M that one application takes, plus one."""
        condition = float((self.largest / self.lowest).max())
        if condition <= 1:
            return 1
        return max(
            1,
            math.ceil(
                math.acosh(1 / self.accuracy) / math.acosh((condition + 1) / (condition - 1))
            ),
        )

    @cached_property
    def steps(self) -> list[tuple[Tensor, Tensor]]:
        """After each product: how much of the last direction goes into the next one, and how much
        of what is left of the right side.
        """
        middle, turn = (
            (self.largest + self.lowest) / 2,
            (self.largest - self.lowest) / (self.largest + self.lowest),
        )
        share, found = turn, []
        for _ in range(self.degree - 1):
            damping = 1 / (2 - turn * share)
            found.append((share * turn * damping, 2 / middle * damping))
            share = turn * damping
        return found

    def apply(self, product: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
        """P right for M = `product`, like `right`: nearly the x with M x = right."""
        x = direction = right * (2 / (self.largest + self.lowest))
        left = right
        for kept, taken in self.steps:
            left = left - product(direction)
            direction = kept * direction + taken * left
            x = x + direction
        return x
