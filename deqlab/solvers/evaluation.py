"""One evaluation of f as a solver sees it: flat vectors, and products with the transposed Jacobian
for those that ask.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from deqlab.solvers.flat import State


@dataclass(frozen=True)
class Evaluation:
    """f at the iterates of some running samples: x, f and g = f(x) - x, real (batch, n).

    pullback, observe: of all samples that were evaluated together, as `RunningBatch` makes them.
    rows: which of those are meant here, long (batch,); None for all.
    """

    x: Tensor
    f: Tensor
    g: Tensor
    pullback: Callable[[Tensor, Tensor | None], Tensor]
    observe: Callable[[Callable[[State], State]], Tensor]
    rows: Tensor | None = None

    def transpose(self, v: Tensor) -> Tensor:
        """J^T v with J = df/dx here, real (batch, n): one vector-Jacobian product for each
        sample.
        """
        return self.pullback(v, self.rows)

    def outer(self, direction: Callable[[State], State]) -> Tensor:
        """direction(x), a vector like x for each sample, as real (batch, n)."""
        found = self.observe(direction)
        return found if self.rows is None else found[self.rows]

    def select(self, index: Tensor) -> "Evaluation":
        """The evaluation of the samples at positions `index`; its graph stays that of all, so a
        product costs the others' share.
        """
        rows = index if self.rows is None else self.rows[index]
        return replace(self, x=self.x[index], f=self.f[index], g=self.g[index], rows=rows)
