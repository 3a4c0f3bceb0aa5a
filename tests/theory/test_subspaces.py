"""Range, null space and eigenvalues against the singular value decomposition of A as a matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.operators import CartesianOperator
from deqlab.theory.subspaces import range_projection, spectrum

SIZE = (3, 6)
LINES = torch.tensor([True, False, False, True, False, False])
POINTS = torch.tensor([[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 1, 0]]).bool()


def operator(mask: Tensor, coils: int) -> CartesianOperator:
    """A batch of two with random maps; normalised, so that no eigenvalue exceeds 1."""
    maps = torch.randn(2, coils, *SIZE, dtype=torch.complex128)
    return CartesianOperator(
        mask, maps / maps.abs().square().sum(1, keepdim=True).sqrt() if coils > 1 else None
    )


def matrix(A: CartesianOperator, index: int) -> Tensor:
    """A of one sample, complex (measurements, pixels)."""
    A = A.select(torch.tensor([index]))
    units = torch.eye(18, dtype=torch.complex128).reshape(18, 1, *SIZE)
    return torch.cat([A(unit).reshape(1, -1) for unit in units]).T


KINDS = pytest.mark.parametrize("mask", [LINES, POINTS], ids=["lines", "points"])


@KINDS
@pytest.mark.parametrize("coils", [1, 2, 3])
def test_the_projection_onto_the_range(mask: Tensor, coils: int) -> None:
    A, image = operator(mask, coils), torch.randn(2, *SIZE, dtype=torch.complex128)
    projected = range_projection(A, image, 1e-9)(image)
    for index in range(2):
        M = matrix(A, index)
        expected = torch.linalg.pinv(M, rcond=1e-7) @ M @ image[index].flatten()
        assert_close(projected[index].flatten(), expected, rtol=1e-6, atol=1e-6)
        null = (image - projected)[index].flatten()
        assert float((M @ null).norm()) < 1e-6 and (coils == 3 or float(null.norm()) > 0.1)


def test_what_is_barely_measured_counts_as_not_measured() -> None:
    """An image column that the only coil sees 1000 times less: in the range at threshold 1e-9, in
    the null space at 1e-4.
    """
    maps = torch.ones(1, 1, *SIZE, dtype=torch.complex128)
    maps[..., 2] = 1e-3
    A = CartesianOperator(torch.ones(6, dtype=torch.bool), maps)
    image = torch.randn(1, *SIZE, dtype=torch.complex128)
    assert_close(range_projection(A, image, 1e-9)(image), image)
    without = image.clone()
    without[..., 2] = 0
    assert_close(range_projection(A, image, 1e-4)(image), without)


@KINDS
@pytest.mark.parametrize("coils", [1, 2, 4])
def test_the_spectrum_of_every_sample(mask: Tensor, coils: int) -> None:
    A, like = operator(mask, coils), torch.zeros(2, *SIZE, dtype=torch.complex128)
    found = spectrum(A, like, iterations=2000)
    assert len(found) == 2
    for index, one in enumerate(found):
        eigenvalues = torch.linalg.eigvalsh(matrix(A, index).mH @ matrix(A, index))
        assert one.lowest == pytest.approx(float(eigenvalues.min().clamp_min(0)), abs=1e-4)
        assert one.largest == pytest.approx(float(eigenvalues.max()), rel=1e-4)


def test_enough_coils_leave_no_null_space() -> None:
    """Four coils at three times: more equations than unknowns, and a smallest eigenvalue that is
    small.
    """
    (one, _) = spectrum(operator(LINES, 4), torch.zeros(2, *SIZE, dtype=torch.complex128))
    assert 1e-6 < one.lowest < 0.3 < one.largest <= 1 + 1e-9
