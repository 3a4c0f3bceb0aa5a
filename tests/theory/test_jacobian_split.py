"""The Jacobian's blocks against dense linear algebra: range and null space of A are what they are
called.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.equilibrium.measure import dense_jacobian
from deqlab.operators import CartesianOperator
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.de_prox import DEProx
from deqlab.theory import contraction
from deqlab.theory.contraction import DenoiserBound, Spectrum
from deqlab.theory.jacobian_split import split_jacobian

SIZE = (2, 7)
COILS = pytest.mark.parametrize("coils", [1, 2])


def as_real(matrix: Tensor) -> Tensor:
    """The real (2n, 2n) matrix of a complex (n, n) one, real and imaginary parts interleaved."""
    blocks = torch.stack(
        [torch.stack([matrix.real, -matrix.imag], -1), torch.stack([matrix.imag, matrix.real], -1)],
        -2,
    )
    n = len(matrix)
    return blocks.permute(0, 2, 1, 3).reshape(2 * n, 2 * n)


def dense(A: CartesianOperator) -> Tensor:
    """A, complex (measurements, pixels)."""
    pixels = SIZE[0] * SIZE[1]
    units = torch.eye(pixels, dtype=torch.complex128).reshape(pixels, *SIZE)
    return torch.cat([A(unit[None]).reshape(1, -1) for unit in units]).T


@pytest.fixture
def operator(_seed: None):
    """`operator(coils)`: two of seven lines, one sample; a null space with any number of coils up
    to three.
    """

    def make(coils: int) -> CartesianOperator:
        maps = torch.randn(1, coils, *SIZE, dtype=torch.complex128) if coils > 1 else None
        if maps is not None:
            maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
        return CartesianOperator(
            torch.tensor([False, True, False, False, True, False, False]), maps
        )

    return make


@COILS
@pytest.mark.parametrize("kind", [DEProx, DEGrad])
def test_every_block_is_that_of_the_dense_jacobian(
    operator, denoiser, coils: int, kind: type
) -> None:
    A, model = operator(coils), kind(denoiser(0.9), step=0.6).double()
    kspace = A(torch.randn(1, *SIZE, dtype=torch.complex128))
    f = model.fixed_point_map(kspace, A).as_one_image()
    x = model.solve(kspace, A, tolerance=1e-10, max_evaluations=500).value
    J = dense_jacobian(f, x)[0]
    P = as_real(torch.linalg.pinv(dense(A), rcond=1e-7) @ dense(A))
    Q = torch.eye(len(P)) - P
    split = split_jacobian(f, x, A, iterations=100)

    def norm(matrix: Tensor) -> float:
        return float(torch.linalg.matrix_norm(matrix, ord=2))

    def radius(matrix: Tensor) -> float:
        return float(torch.linalg.eigvals(matrix).abs().max())

    for name, block in (
        ("norm", J),
        ("range_to_range", P @ J @ P),
        ("null_to_range", P @ J @ Q),
        ("range_to_null", Q @ J @ P),
        ("null_to_null", Q @ J @ Q),
    ):
        # From below, and up to the share of the second singular value.
        assert (
            norm(block) * 0.97 - 1e-6
            <= float(getattr(split, name))
            <= norm(block) * (1 + 1e-9) + 1e-6
        ), name
    for name, block in (("radius", J), ("radius_range", P @ J @ P), ("radius_null", Q @ J @ Q)):
        assert float(getattr(split, name)) == pytest.approx(radius(block), rel=5e-2, abs=1e-6), name
    assert norm(Q) == pytest.approx(1)  # there is a null space to speak of


@COILS
def test_a_slightly_expanding_denoiser_is_harmless_in_the_range_only(
    gain, operator, coils: int
) -> None:
    """R = 1.05 I: DE-Prox contracts what is measured and expands what is not, and nothing passes
    between the two.
    """
    A = operator(coils)
    kspace = A(torch.randn(1, *SIZE, dtype=torch.complex128))
    f = DEProx(gain(1.05), step=1.0).double().fixed_point_map(kspace, A)
    split = split_jacobian(f, torch.randn(1, *SIZE, dtype=torch.complex128), A, iterations=100)
    for name in ("norm", "radius", "null_to_null", "radius_null"):
        assert float(getattr(split, name)) == pytest.approx(1.05, rel=1e-3), name
    lowest = float(torch.linalg.eigvalsh(dense(A).mH @ dense(A))[2 * 7 - 2 * 2 * coils])
    assert float(split.range_to_range) == pytest.approx(1.05 * (1 - lowest), rel=2e-2, abs=1e-9)
    assert float(split.null_to_range) < 1e-9 and float(split.range_to_null) < 1e-9
    assert contraction.de_prox(DenoiserBound(1, 0.05), Spectrum(), 1.0) == pytest.approx(1.05)
