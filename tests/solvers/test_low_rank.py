"""H against its dense matrix."""

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


def dense(H: LowRankInverse) -> Tensor:
    scale = 1 if H.scale is None else H.scale[:, None, None]
    return scale * torch.eye(H.left.shape[2], dtype=torch.float64) + H.left.mT @ H.core @ H.right


@pytest.mark.parametrize("scaled", [False, True])
def test_apply_and_transpose_are_those_of_the_matrix(scaled: bool) -> None:
    H, v = random_inverse(3, 2, scaled=scaled), torch.randn(3, 5, dtype=torch.float64)
    assert_close(H.apply(v), (dense(H) @ v[..., None])[..., 0])
    assert_close(H.transpose(v), (dense(H).mT @ v[..., None])[..., 0])


def test_rank_zero_is_the_identity() -> None:
    v = torch.randn(3, 5)
    H = LowRankInverse.identity(v)
    assert (
        torch.equal(H.apply(v), v)
        and torch.equal(H.transpose(v), v)
        and H.count.tolist() == [0, 0, 0]
    )


def test_pieces_come_together_in_the_order_of_the_batch() -> None:
    pieces = [
        (torch.tensor([3, 1]), random_inverse(2, 4, scaled=True)),
        (torch.tensor([0, 2]), random_inverse(2, 1)),
    ]
    H, v = gather(4, pieces), torch.randn(4, 5, dtype=torch.float64)
    for members, piece in pieces:
        assert_close(H.apply(v)[members], piece.apply(v[members]))
        assert_close(H.transpose(v)[members], piece.transpose(v[members]))
        assert_close(H.select(members).apply(v[members]), piece.apply(v[members]))
    assert H.count.tolist() == [1, 4, 1, 4]
