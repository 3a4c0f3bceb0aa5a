"""B as a product of rank-one corrections, (I + w_k s_k^T) ... (I + w_1 s_1^T), as Broyden and
adjoint Broyden build it.

Multiplied out it is I + W^T T S with the vectors w_j and s_j as the rows of W and S and a small T,
which gains the row (s_k^T W^T T, 1) with each correction. So B and its transpose are applied in two
passes over the vectors, and a new correction costs one.

A full memory is reduced to the half of its rank that matters most, the largest singular values of B
- I: B. van de Rotten and S. Verduyn Lunel, A limited memory Broyden method to solve
high-dimensional systems of nonlinear equations, EQUADIFF 2003 (2005). Dropping the oldest
correction instead made adjoint Broyden diverge; starting over forgets what a backward pass wants to
know.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.solvers.history import capacity, grown, grown_square
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.products import dot, dots, length, surely

# A correction is damped where it would shrink B to less than this part along its direction
# (Powell's rule), so that B stays regular.
LEAST_PIVOT = 0.1


@dataclass
class ProductForm:
    """B for each sample of a batch, with at most `memory` corrections; memory is allocated as they
    come.

    left: W, (batch, rows, n). core: T, (batch, rows, rows), float64. right: S, (batch, rows, n).
        filled: rows in use.
    """

    memory: int
    left: Tensor
    core: Tensor
    right: Tensor
    filled: int = 0

    @classmethod
    def identity(cls, like: Tensor, memory: int) -> "ProductForm":
        """B = I for vectors like (batch, n)."""
        batch, n = like.shape
        empty = like.new_zeros(batch, 0, n)
        return cls(
            memory, empty, torch.zeros(batch, 0, 0, dtype=torch.float64, device=like.device), empty
        )

    @property
    def full(self) -> bool:
        """Whether there is no room for a correction."""
        return self.filled == self.memory

    def apply(self, v: Tensor) -> Tensor:
        """B v, real (batch, n)."""
        return self.inverse().apply(v)

    def transpose(self, v: Tensor) -> Tensor:
        """B^T v, real (batch, n)."""
        return self.inverse().transpose(v)

    def correct(self, s: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """B <- (I + w s^T) B with w such that the new B takes to s what the old one took to
        `image`; returns w and s as used.

        So image = B y gives the secant condition B y = s. s of length zero, NaN and Inf change
        nothing. The correction is damped where <s, image> < LEAST_PIVOT ||s||^2; the secant
        condition then holds in part only. A full memory must be reduced before.
        Source of the damping: J. Zhang, B. O'Donoghue and S. Boyd, Globally convergent type-I
        Anderson acceleration for nonsmooth fixed-point iterations, SIAM J. Optim. 30 (2020), after
        M. J. D. Powell.
        """
        size = length(s)
        scale = 1 / size
        s = s * scale
        pivot = dot(s, image) * scale
        usable = torch.isfinite(pivot) & (size > 0)
        damping = torch.where(
            pivot.abs() >= LEAST_PIVOT,
            torch.ones_like(pivot),
            (1 - _sign(pivot) * LEAST_PIVOT) / (1 - pivot),
        )
        factor = damping / (1 - damping + damping * pivot)
        w = torch.addcmul(s * factor, image, -scale * factor)
        if not surely(usable):
            zero = torch.zeros_like(size)
            w, s = torch.where(usable, w, zero), torch.where(usable, s, zero)
        self._append(w, s)
        return w, s

    def reduce(self) -> None:
        """Keep the half of the rank with the largest singular values of B - I; a memory of 1 is
        emptied.
        """
        keep = self.memory // 2
        # With L^T = Q_l X_l and R^T = Q_r X_r, X the root of the Gram matrix, B - I = Q_l (X_l T
        # X_r^T) Q_r^T: all but Q is small.
        (root_l, inverse_l), (root_r, inverse_r) = (
            _roots(self._used(self.left)),
            _roots(self._used(self.right)),
        )
        u, sigma, vh = torch.linalg.svd(
            root_l @ self.core[:, : self.filled, : self.filled] @ root_r.mT
        )
        self.left = torch.bmm(
            (u[:, :, :keep].mT @ inverse_l).to(self.left.dtype), self._used(self.left)
        )
        self.right = torch.bmm(
            (vh[:, :keep] @ inverse_r).to(self.right.dtype), self._used(self.right)
        )
        self.core, self.filled = torch.diag_embed(sigma[:, :keep]), keep

    def select(self, index: Tensor) -> "ProductForm":
        """B of the batch members in `index`."""
        core = self.core[index, : self.filled, : self.filled]
        return ProductForm(
            self.memory,
            self._used(self.left)[index],
            core,
            self._used(self.right)[index],
            self.filled,
        )

    def inverse(self) -> LowRankInverse:
        """B as it is now, in the form that a Solution carries; it shares memory with this one."""
        count = torch.full(
            (self.left.shape[0],), self.filled, dtype=torch.long, device=self.left.device
        )
        core = self.core[:, : self.filled, : self.filled].to(self.left.dtype)
        return LowRankInverse(self._used(self.left), core, self._used(self.right), count)

    def _used(self, rows: Tensor) -> Tensor:
        return rows[:, : self.filled]

    def _append(self, w: Tensor, s: Tensor) -> None:
        slot = self.filled
        if slot == self.left.shape[1]:
            self._grow()
        mixed = dots(self._used(self.left), s).double()
        self.core[:, slot, :slot] = dots(self.core[:, :slot, :slot].mT, mixed)
        self.core[:, slot, slot] = 1
        self.left[:, slot], self.right[:, slot] = w, s
        self.filled = slot + 1

    def _grow(self) -> None:
        rows = capacity(self.left.shape[1], self.memory)
        self.left, self.right = grown(self.left, rows), grown(self.right, rows)
        self.core = grown_square(self.core, rows)


def corrected(v: Tensor, w: Tensor, s: Tensor) -> Tensor:
    """(I + w s^T) v per sample, real (batch, n)."""
    return torch.addcmul(v, w, dot(s, v))


def _roots(rows: Tensor) -> tuple[Tensor, Tensor]:
    """X and its pseudoinverse, transposed to act on rows, for rows^T = Q X; float64, (batch, rank,
    rank).
    """
    values, vectors = torch.linalg.eigh(torch.bmm(rows, rows.mT).double().nan_to_num())
    # Below this the Gram matrix of a single-precision history holds rounding only.
    least = 10 * torch.finfo(rows.dtype).eps * values[:, -1:]
    root = values.clamp_min(0).sqrt()
    inverse = torch.where(values > least, 1 / root, torch.zeros_like(root))
    return root.unsqueeze(-1) * vectors.mT, inverse.unsqueeze(-1) * vectors.mT


def _sign(a: Tensor) -> Tensor:
    return torch.where(a >= 0, torch.ones_like(a), -torch.ones_like(a))
