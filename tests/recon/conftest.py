"""Small measurements in complex128 and denoisers that contract, so that equilibria exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator


@dataclass
class Measured:
    """k-space (batch, coil, y, x) and its operator."""

    kspace: Tensor
    A: CartesianOperator

    def member(self, index: int) -> Measured:
        """One sample alone."""
        return Measured(self.kspace[index : index + 1], self.A.select(torch.tensor([index])))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def measure(_seed: None) -> Callable[..., Measured]:
    """`measure(batch, coils, size, dtype)`: noise images, about half of the lines, normalised random maps."""

    def make(
        batch: int = 3, coils: int = 2, size: tuple[int, int] = (6, 7), dtype: torch.dtype = torch.complex128
    ) -> Measured:
        maps = torch.randn(batch, coils, *size, dtype=dtype)
        maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
        mask = torch.rand(batch, 1, 1, size[1]) < 0.5
        # Some lines measured and some not, whatever was drawn.
        mask[..., size[1] // 2], mask[..., 0] = True, False
        A = CartesianOperator(mask, maps if coils > 1 else None)
        return Measured(A(torch.randn(batch, *size, dtype=dtype)), A)

    return make


@pytest.fixture
def denoiser(_seed: None) -> Callable[..., nn.Module]:
    """`denoiser(lipschitz, dtype)`: R with Lip(R) <= lipschitz and random weights."""

    def make(lipschitz: float = 0.8, dtype: torch.dtype = torch.float64) -> DnCNN:
        model = DnCNN(3, 6, lipschitz=lipschitz, residual=False).to(dtype)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        model.project_()
        return model

    return make


class _Gain(nn.Module):
    def __init__(self, gain: float):
        super().__init__()
        self.gain = gain

    def forward(self, image: Tensor) -> Tensor:
        return self.gain * image


@pytest.fixture
def gain() -> Callable[[float], nn.Module]:
    """`gain(q)`: R = q I, with every Jacobian known."""
    return _Gain
