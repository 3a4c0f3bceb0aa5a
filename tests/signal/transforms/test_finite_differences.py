"""Differences by hand, their adjoint, their norm, and the total variation of a square."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.signal.transforms.finite_differences import (
    SQUARED_NORM,
    differences,
    differences_adjoint,
    total_variation,
)


def test_by_hand() -> None:
    d = differences(torch.tensor([[1.0, 4.0], [2.0, 9.0]]))
    assert_close(d, torch.tensor([[[1.0, 5.0], [0.0, 0.0]], [[3.0, 0.0], [7.0, 0.0]]]))


@pytest.mark.parametrize(
    "batch, size", [(1, (4, 6)), (2, (5, 7)), (3, (6, 5)), (4, (2, 2)), (5, (3, 1))]
)
def test_adjoint(batch: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, d = (
        torch.randn(batch, *size, dtype=torch.complex128),
        torch.randn(batch, 2, *size, dtype=torch.complex128),
    )
    left, right = (
        (differences(x).conj() * d).sum((1, 2, 3)),
        (x.conj() * differences_adjoint(d)).sum((1, 2)),
    )
    assert_close(left, right, rtol=0, atol=1e-12)


def test_norm_stays_below_its_bound_and_comes_near() -> None:
    board = (-1.0) ** (torch.arange(64)[:, None] + torch.arange(64))
    ratio = float(differences(board).square().sum() / board.square().sum())
    assert 0.95 * SQUARED_NORM < ratio < SQUARED_NORM


def test_total_variation_of_a_square_is_its_perimeter_but_for_a_corner() -> None:
    """The differences of one corner pixel add up as a vector: sqrt 2 for 2."""
    image = torch.zeros(3, 12, 12, dtype=torch.complex128)
    image[1:, 3:8, 4:9] = 2j
    assert_close(
        total_variation(image),
        torch.tensor([0.0, 1, 1], dtype=torch.float64) * 2 * (4 * 5 - 2 + 2**0.5),
    )
