"""A matrix that is a multiple of the identity but for a low rank: what a quasi-Newton solver has
learned of (I - J)^-1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.solvers.products import combined, dots


@dataclass(frozen=True)
class LowRankInverse:
    """B = scale I + L^T C R per sample, real (n, n), B ~ (I - J)^-1 with J = df/dx; the matrix
    itself is never formed. In formulas of the solvers B means nothing else; code says `inverse`.

    left: L, (batch, rank, n). core: C, (batch, rank, rank). right: R, (batch, rank, n).
    count: how many of the `rank` rows each sample uses, long (batch,); the others are zero. scale:
    (batch,), or None where it is 1. Vectors are real (batch, n), as `deqlab.solvers.flat.flatten`
    makes them.
    """

    left: Tensor
    core: Tensor
    right: Tensor
    count: Tensor
    scale: Tensor | None = None

    @classmethod
    def identity(cls, like: Tensor) -> "LowRankInverse":
        """B = I for vectors like (batch, n)."""
        batch, n = like.shape
        empty, core = like.new_zeros(batch, 0, n), like.new_zeros(batch, 0, 0)
        return cls(empty, core, empty, torch.zeros(batch, dtype=torch.long, device=like.device))

    def apply(self, v: Tensor) -> Tensor:
        """B v, the tangent side: (I - J)^-1 v approximately. A cost of two passes over the factors,
        no product with J.
        """
        weights = dots(self.core, dots(self.right, v))
        return combined(
            v if self.scale is None else self.scale.unsqueeze(1) * v, weights, self.left
        )

    def transpose(self, v: Tensor) -> Tensor:
        """B^T v, the cotangent side: (I - J)^-T v approximately, as a backward pass needs it."""
        return self.adjoint().apply(v)

    def adjoint(self) -> "LowRankInverse":
        """B^T, on the same memory."""
        return LowRankInverse(self.right, self.core.mT, self.left, self.count, self.scale)

    def select(self, index: Tensor) -> "LowRankInverse":
        """B of the batch members in `index`."""
        scale = None if self.scale is None else self.scale[index]
        return LowRankInverse(
            self.left[index], self.core[index], self.right[index], self.count[index], scale
        )


def gather(batch: int, pieces: list[tuple[Tensor, LowRankInverse]]) -> LowRankInverse:
    """One B for a batch, in its order, from pieces (members, their B); shorter factors are padded
    with zeros.
    """
    rank = max(piece.left.shape[1] for _, piece in pieces)
    like = pieces[0][1].left
    if len(pieces) == 1 and bool((pieces[0][0] == torch.arange(batch, device=like.device)).all()):
        return pieces[0][1]
    left, right = (
        like.new_zeros(batch, rank, like.shape[2]),
        like.new_zeros(batch, rank, like.shape[2]),
    )
    core, count = (
        like.new_zeros(batch, rank, rank),
        torch.zeros(batch, dtype=torch.long, device=like.device),
    )
    scale = None if all(piece.scale is None for _, piece in pieces) else like.new_ones(batch)
    for members, piece in pieces:
        used = slice(0, piece.left.shape[1])
        left[members, used], right[members, used] = piece.left, piece.right
        core[members, used, used] = piece.core
        count[members] = piece.count
        if scale is not None and piece.scale is not None:
            scale[members] = piece.scale
    return LowRankInverse(left, core, right, count, scale)
