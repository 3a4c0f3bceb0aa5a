"""B against its dense matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.solvers.low_rank import LowRankInverse, gather


def random_inverse(batch: int, rank: int, n: int = 5, scaled: bool = False) -> LowRankInverse:
    left, right = torch.randn(2, batch, rank, n, dtype=torch.float64)
    core = torch.randn(batch, rank, rank, dtype=torch.float64)
    scale = torch.rand(batch, dtype=torch.float64) if scaled else None
    return LowRankInverse(left, core, right, torch.full((batch,), rank), scale)


def dense(B: LowRankInverse) -> Tensor:
    scale = 1 if B.scale is None else B.scale[:, None, None]
    return scale * torch.eye(B.left.shape[2], dtype=torch.float64) + B.left.mT @ B.core @ B.right


@pytest.mark.parametrize("scaled", [False, True])
def test_apply_and_transpose_are_those_of_the_matrix(scaled: bool) -> None:
    B, v = random_inverse(3, 2, scaled=scaled), torch.randn(3, 5, dtype=torch.float64)
    assert_close(B.apply(v), (dense(B) @ v[..., None])[..., 0])
    assert_close(B.transpose(v), (dense(B).mT @ v[..., None])[..., 0])


def test_rank_zero_is_the_identity() -> None:
    v = torch.randn(3, 5)
    B = LowRankInverse.identity(v)
    assert (
        torch.equal(B.apply(v), v)
        and torch.equal(B.transpose(v), v)
        and B.count.tolist() == [0, 0, 0]
    )


def test_pieces_come_together_in_the_order_of_the_batch() -> None:
    pieces = [
        (torch.tensor([3, 1]), random_inverse(2, 4, scaled=True)),
        (torch.tensor([0, 2]), random_inverse(2, 1)),
    ]
    B, v = gather(4, pieces), torch.randn(4, 5, dtype=torch.float64)
    for members, piece in pieces:
        assert_close(B.apply(v)[members], piece.apply(v[members]))
        assert_close(B.transpose(v)[members], piece.transpose(v[members]))
        assert_close(B.select(members).apply(v[members]), piece.apply(v[members]))
    assert B.count.tolist() == [1, 4, 1, 4]
