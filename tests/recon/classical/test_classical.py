"""Reconstruction without learning against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.zero_filled import ZeroFilled

KINDS = [(1, (6, 7)), (2, (6, 7)), (3, (5, 4))]


@pytest.mark.parametrize("coils, size", KINDS)
def test_zero_filled_is_the_adjoint(measure, coils: int, size: tuple[int, int]) -> None:
    data = measure(2, coils, size)
    assert torch.equal(ZeroFilled()(data.kspace, data.A), data.A.H(data.kspace))


@pytest.mark.parametrize("weight", [1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("coils, size", KINDS)
def test_cg_sense_solves_its_normal_equations(
    measure, coils: int, size: tuple[int, int], weight: float
) -> None:
    """(A^H A + weight) x = A^H y, with A as a matrix made of its action on unit images."""
    data = measure(3, coils, size)
    method = CGSense(weight, tolerance=1e-11, max_evaluations=500)
    image = method(data.kspace, data.A)
    assert image.shape == (3, *size)
    pixels = size[0] * size[1]
    for index in range(3):
        one = data.member(index)
        units = torch.eye(pixels, dtype=torch.complex128).reshape(pixels, *size)
        matrix = torch.cat([one.A(unit[None]).reshape(1, -1) for unit in units]).T
        normal = matrix.mH @ matrix + weight * torch.eye(pixels)
        expected = torch.linalg.solve(normal, matrix.mH @ one.kspace.flatten()).reshape(size)
        assert_close(image[index], expected, rtol=1e-7, atol=1e-7)
    assert method.solve(data.kspace, data.A).converged.all()


def test_full_sampling_without_weight_is_exact(measure) -> None:
    image = torch.randn(2, 6, 7, dtype=torch.complex128)
    A = CartesianOperator(torch.ones(7, dtype=torch.bool), measure(1).A.coil_maps)
    assert_close(CGSense(0.0)(A(image), A), image, rtol=1e-4, atol=1e-4)


def test_cg_sense_unfolds_what_zero_filling_folds(measure) -> None:
    """Twice undersampled, two coils: more equations than unknowns, so the image comes back
    whole.
    """
    image = torch.randn(1, 6, 8, dtype=torch.complex128)
    A = CartesianOperator(torch.arange(8) % 2 == 0, measure(1, 3, (6, 8)).A.coil_maps)
    error = {
        type(method).__name__: float((method(A(image), A) - image).norm() / image.norm())
        for method in (ZeroFilled(), CGSense(1e-8, 1e-10, 1000))
    }
    assert error["CGSense"] < 1e-4 < 0.3 < error["ZeroFilled"]


@pytest.mark.parametrize("weight", [-1e-3, float("nan")])
def test_a_weight_that_cannot_be_is_named(weight: float) -> None:
    with pytest.raises(InputError, match="weight"):
        CGSense(weight)
