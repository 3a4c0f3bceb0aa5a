"""The polynomial is as near to the inverse as it promises, linear and Hermitian, with no more
products than it says.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.recon.steps.chebyshev import ChebyshevInverse


def interval(*ends: tuple[float, float]) -> tuple[Tensor, Tensor]:
    return tuple(
        torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1) for values in zip(*ends)
    )


@pytest.mark.parametrize("accuracy", [0.5, 0.1, 1e-6])
@pytest.mark.parametrize("condition", [1.0, 1.5, 5.0, 100.0])
def test_it_is_as_near_to_the_inverse_as_it_promises(condition: float, accuracy: float) -> None:
    """On a fine grid of eigenvalues, for two samples with intervals of different length."""
    P = ChebyshevInverse(
        *interval((0.3, 0.3 * condition), (2.0, 2.0 * min(condition, 3))), accuracy
    )
    eigenvalues = torch.stack(
        [
            torch.linspace(a, b, 300, dtype=torch.float64)
            for a, b in zip(P.lowest.flatten(), P.largest.flatten())
        ]
    )
    eigenvalues = eigenvalues.reshape(2, 1, 300)
    error = (
        1 - eigenvalues * P.apply(lambda v: eigenvalues * v, torch.ones_like(eigenvalues))
    ).abs()
    assert float(error.max()) <= accuracy * (1 + 1e-9)
    if P.degree > 1:  # the best polynomial of a degree less is not as near
        assert (
            1 / math.cosh((P.degree - 1) * math.acosh((condition + 1) / (condition - 1))) > accuracy
        )


def test_it_is_linear_hermitian_and_counts_its_products() -> None:
    square = torch.randn(2, 6, 6, dtype=torch.complex128)
    M = square @ square.mH + 0.5 * torch.eye(6)
    largest = torch.linalg.eigvalsh(M).amax(-1).reshape(2, 1, 1)
    P, products = ChebyshevInverse(torch.full_like(largest, 0.5), largest, 0.1), []

    def product(v: Tensor) -> Tensor:
        products.append(v)
        return (M @ v.transpose(1, 2)).transpose(1, 2)

    a, b = (torch.randn(2, 1, 6, dtype=torch.complex128) for _ in range(2))
    Pa, Pb = P.apply(product, a), P.apply(product, b)
    assert len(products) == 2 * (P.degree - 1) > 0
    assert_close(P.apply(product, 2j * a + b), 2j * Pa + Pb)
    assert_close((a.conj() * Pb).sum(), (Pa.conj() * b).sum())
    assert bool(((a.conj() * Pa).sum((1, 2)).real > 0).all())
