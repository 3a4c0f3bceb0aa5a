"""Convolutions whose singular values are brought together."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from deqlab.networks.convolution_norm import convolution_norm, symbol
from deqlab.networks.norm_preserving import orthogonalise_


def spread(kernel: torch.Tensor) -> float:
    """The mean singular value over the largest."""
    values = torch.linalg.svdvals(symbol(kernel))
    return float(values.mean() / values.max())


@pytest.mark.parametrize("shape", [(8, 8), (8, 2), (3, 6)])
def test_singular_values_come_together_under_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    kernel = torch.randn(*shape, 3, 3, dtype=torch.float64)
    before = spread(kernel)
    for _ in range(5):
        orthogonalise_(kernel)
    assert convolution_norm(kernel) == pytest.approx(1)
    assert spread(kernel) > before + 0.2


def test_a_convolution_that_keeps_norms_is_left_alone() -> None:
    kernel = torch.zeros(4, 4, 3, 3, dtype=torch.float64)
    torch.nn.init.dirac_(kernel)
    found = kernel.clone()
    orthogonalise_(found)
    torch.testing.assert_close(found * convolution_norm(kernel), kernel)


@pytest.mark.parametrize(("orthogonal", "least", "most"), [(True, 0.4, 1), (False, 0, 0.01)])
def test_features_pass_many_of_them(orthogonal: bool, least: float, most: float) -> None:
    """And not as many that are merely scaled to the same norm."""
    torch.manual_seed(0)
    features = torch.randn(1, 8, 24, 24, dtype=torch.float64)
    after = features
    for _ in range(16):
        kernel = torch.zeros(8, 8, 3, 3, dtype=torch.float64)
        torch.nn.init.dirac_(kernel)
        kernel += 0.03 * torch.randn_like(kernel)
        if orthogonal:
            orthogonalise_(kernel)
        after = conv2d(after, kernel / convolution_norm(kernel), padding=1)
    assert least < after.norm() / features.norm() <= most


def test_nothing_stays_nothing() -> None:
    kernel = torch.zeros(4, 4, 3, 3)
    orthogonalise_(kernel)
    assert not kernel.any()
