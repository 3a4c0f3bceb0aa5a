"""Maps whose fixed points a dense solve knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor


@dataclass
class LinearMap:
    """f(x) = M x + b per sample, on (batch, n); counts the samples of every evaluation in
    `rows`.
    """

    M: Tensor
    b: Tensor
    rows: list[int] = field(default_factory=list)

    def __call__(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return torch.einsum("bij,bj->bi", self.M, x) + self.b

    def fixed_point(self) -> Tensor:
        """(I - M)^-1 b."""
        return torch.linalg.solve(torch.eye(self.M.shape[-1], dtype=self.M.dtype) - self.M, self.b)

    def scaled(self, factor: float) -> LinearMap:
        """The map whose fixed point is `factor` times this one's."""
        return replace(self, b=factor * self.b, rows=[])

    def members(self, index) -> LinearMap:
        """The map of some samples."""
        return replace(self, M=self.M[index], b=self.b[index], rows=[])


class SelectableMap(LinearMap):
    """The same with `select`; the parts share one list of evaluations."""

    def select(self, index: Tensor) -> SelectableMap:
        return replace(self, M=self.M[index], b=self.b[index])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_map() -> Callable[..., LinearMap]:
    """`make_map(batch, n, rates, dtype, selectable)`: random maps; sample i contracts by rates[i]
    in norm.
    """

    def make(
        batch: int = 3,
        n: int = 6,
        rates: float | list[float] = 0.9,
        dtype: torch.dtype = torch.complex128,
        selectable: bool = False,
    ) -> LinearMap:
        M = torch.randn(batch, n, n, dtype=dtype)
        norm = torch.linalg.matrix_norm(M, ord=2)
        rate = torch.as_tensor(rates, dtype=norm.dtype).expand(batch)
        M = M * (rate / norm)[:, None, None]
        return (SelectableMap if selectable else LinearMap)(M, torch.randn(batch, n, dtype=dtype))

    return make


@pytest.fixture
def make_gradient_step() -> Callable[..., LinearMap]:
    """`make_gradient_step(batch, n, dtype, least)`: x - (A x - b) with A Hermitian, eigenvalues
    from `least` to 1; I - J = A.
    """

    def make(
        batch: int = 3,
        n: int = 6,
        dtype: torch.dtype = torch.complex128,
        least: float | list[float] = 0.05,
    ) -> LinearMap:
        Q = torch.linalg.qr(torch.randn(batch, n, n, dtype=dtype))[0]
        low = torch.as_tensor(least, dtype=torch.float64).expand(batch)
        eigenvalues = low[:, None] ** torch.linspace(1, 0, n, dtype=torch.float64)
        A = (Q * eigenvalues[:, None].to(dtype)) @ Q.mH
        return LinearMap(torch.eye(n, dtype=dtype) - A, torch.randn(batch, n, dtype=dtype))

    return make


@pytest.fixture
def true_residual() -> Callable[..., Tensor]:
    """||f(x) - x|| / ||f(x)|| per sample, computed apart from the solver."""

    def measure(f, x: Tensor) -> Tensor:
        fx = f(x)
        return (fx - x).abs().square().flatten(1).sum(1).sqrt() / fx.abs().square().flatten(1).sum(
            1
        ).sqrt()

    return measure
