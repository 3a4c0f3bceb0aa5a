"""Small measurement problems whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.optimize import linprog
from torch import Tensor

REAL_AND_COMPLEX = (torch.float64, torch.complex128)


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    """Standard normal entries of a shape and dtype, from a seed."""

    def make(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def smallest_l1() -> Callable[[Tensor, Tensor], Tensor]:
    """min ||x||_1 subject to A x = y, real, as the linear program in the positive and the negative
    part of x.
    """

    def solve(matrix: Tensor, y: Tensor) -> Tensor:
        n = matrix.shape[1]
        both = np.hstack([matrix.numpy(), -matrix.numpy()])
        solution = linprog(np.ones(2 * n), A_eq=both, b_eq=y.numpy(), method="highs")
        assert solution.success
        return torch.from_numpy(solution.x[:n] - solution.x[n:])

    return solve


@pytest.fixture
def spikes_and_signs() -> Tensor:
    """The identity beside a Hadamard matrix, 16 x 32: unit columns of coherence 1/4, so that k <= 2
    entries are always found.
    """
    return torch.from_numpy(np.hstack([np.eye(16), scipy.linalg.hadamard(16) / 4]))
