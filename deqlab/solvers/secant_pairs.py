"""B as L-BFGS builds it from pairs (s, y ~ (I - J) s), in its compact form: symmetric, and positive
definite where every <s, y> is positive.

R. H. Byrd, J. Nocedal and R. B. Schnabel, Representations of quasi-Newton matrices and their use in
limited memory methods, Math. Program. 63 (1994), theorem 2.2:
B = c I + [S Y] [[R^-T (D + c Y^T Y) R^-1, -c R^-T], [-c R^-1, 0]] [S Y]^T, R the upper triangle of
S^T Y in the order of age, D its diagonal, and c = <s, y> / <y, y> of the newest pair. It is the
matrix of the two-loop recursion, applied in two passes over the vectors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.solvers.history import capacity, grown, grown_square
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.products import combined, dot, dots, length, surely


@dataclass
class SecantPairs:
    """The last `memory` pairs of each sample of a batch; memory is allocated as they come.

    rows: s_0, y_0, s_1, y_1, ... in turn, (batch, 2 pairs, n), each pair over ||s||.
    sy, yy: <s_i, y_j> and <y_i, y_j>, float64 (batch, pairs, pairs). dots: <row, g> for the
    residual g at the current iterate, (batch, 2 filled). scale: c, (batch,). position: the pair to
    be replaced next.
    """

    memory: int
    rows: Tensor
    sy: Tensor
    yy: Tensor
    dots: Tensor
    scale: Tensor
    filled: int = 0
    position: int = 0

    @classmethod
    def identity(cls, like: Tensor, memory: int) -> "SecantPairs":
        """B = I, before the first pair, for vectors like (batch, n)."""
        batch, n = like.shape
        small = torch.zeros(batch, 0, 0, dtype=torch.float64, device=like.device)
        return cls(
            memory,
            like.new_zeros(batch, 0, n),
            small,
            small,
            like.new_zeros(batch, 0),
            like.new_ones(batch),
        )

    def products(self, v: Tensor) -> Tensor:
        """<row, v> for all rows in use, (batch, 2 filled)."""
        return dots(self._used(), v)

    def add(self, s: Tensor, y: Tensor, dots_y: Tensor) -> int:
        """Remember a pair, in place of the oldest one where the memory is full; returns its
        position.

        dots_y: `products(y)`. A pair without positive curvature <s, y>, beyond rounding, is
        remembered as zeros and changes nothing; so is one with NaN or Inf.
        """
        size = length(s)
        scale, zero = 1 / size, torch.zeros_like(size)
        s, y, dots_y = s * scale, y * scale, (dots_y * scale).double()
        curvature, square = dot(s, y), dot(y, y)
        usable = (
            (curvature > 100 * torch.finfo(s.dtype).eps * square.sqrt())
            & torch.isfinite(square)
            & (size > 0)
        )
        if not surely(usable):
            s, y = torch.where(usable, s, zero), torch.where(usable, y, zero)
            dots_y = torch.where(usable, dots_y, zero.double())
        self.scale = torch.where(usable, curvature / square, self.scale.unsqueeze(1)).squeeze(1)
        slot = self.position
        if 2 * slot == self.rows.shape[1]:
            self._grow()
        known = self.filled
        self.sy[:, :known, slot], self.yy[:, :known, slot] = dots_y[:, 0::2], dots_y[:, 1::2]
        self.yy[:, slot, :known] = dots_y[:, 1::2]
        # A pair of zeros has <s, y> = 1 here, so that R stays regular; it meets zeros everywhere
        # else.
        self.sy[:, slot, slot] = torch.where(usable, curvature, torch.ones_like(curvature)).squeeze(
            1
        )
        self.yy[:, slot, slot] = torch.where(usable, square, zero).squeeze(1)
        self.rows[:, 2 * slot], self.rows[:, 2 * slot + 1] = s, y
        self.filled, self.position = max(known, slot + 1), (slot + 1) % self.memory
        return slot

    def core(self) -> Tensor:
        """The small matrix between the rows, float64, (batch, 2 filled, 2 filled)."""
        used, first = self.filled, self.position if self.filled == self.memory else 0
        age = (first + torch.arange(used, device=self.rows.device)) % max(1, used)
        square = (slice(None), age[:, None], age)
        R = torch.triu(self.sy[square])
        eye = torch.eye(used, dtype=R.dtype, device=R.device).expand_as(R)
        inverse = torch.linalg.solve_triangular(R, eye, upper=True)
        scale = self.scale.double()[:, None, None]
        middle = scale * self.yy[square] + torch.diag_embed(torch.diagonal(R, dim1=1, dim2=2))
        core = R.new_zeros(len(R), 2 * used, 2 * used)
        at_s, at_y = 2 * age, 2 * age + 1
        core[:, at_s[:, None], at_s] = inverse.mT @ middle @ inverse
        core[:, at_s[:, None], at_y] = -scale * inverse.mT
        core[:, at_y[:, None], at_s] = -scale * inverse
        return core

    def combine(self, v: Tensor, products: Tensor) -> Tensor:
        """B v from `products` = products(v)."""
        # The core is symmetric.
        weights = dots(self.core(), products.double()).to(v.dtype)
        return combined(self.scale.unsqueeze(1) * v, weights, self._used())

    def select(self, index: Tensor) -> "SecantPairs":
        """The pairs of the batch members in `index`."""
        used = slice(0, self.filled)
        small = (self.sy[index, used, used], self.yy[index, used, used])
        return SecantPairs(
            self.memory,
            self._used()[index],
            *small,
            self.dots[index],
            self.scale[index],
            self.filled,
            self.position,
        )

    def inverse(self) -> LowRankInverse:
        """B as it is now, in the form that a Solution carries; it shares memory with this one."""
        count = torch.full(
            (len(self.rows),), 2 * self.filled, dtype=torch.long, device=self.rows.device
        )
        return LowRankInverse(
            self._used(), self.core().to(self.rows.dtype), self._used(), count, self.scale
        )

    def _used(self) -> Tensor:
        return self.rows[:, : 2 * self.filled]

    def _grow(self) -> None:
        pairs = capacity(self.rows.shape[1] // 2, self.memory)
        self.rows = grown(self.rows, 2 * pairs)
        self.sy, self.yy = grown_square(self.sy, pairs), grown_square(self.yy, pairs)
