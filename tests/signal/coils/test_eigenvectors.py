"""Dominant eigenvectors of many small matrices: what a dense solver finds, and a defined answer
where there is none.
"""

import pytest
import torch

from deqlab.signal.coils.eigenvectors import aligned, dominant_eigenvector


def field(batch: int, coils: int, pixels: int, dtype: torch.dtype) -> torch.Tensor:
    """Hermitian matrices (batch, coil, coil, pixel) with eigenvalues 1, 1/2, 1/4, ..."""
    vectors = torch.linalg.qr(torch.randn(batch, pixels, coils, coils, dtype=dtype)).Q
    values = 0.5 ** torch.arange(coils, dtype=vectors.real.dtype)
    return ((vectors * values) @ vectors.mH).movedim(1, -1)


@pytest.mark.parametrize("batch, coils, pixels", [(1, 1, 7), (2, 3, 5), (5, 8, 4)])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_they_are_those_of_a_dense_solver(batch, coils, pixels, dtype):
    torch.manual_seed(0)
    matrices = field(batch, coils, pixels, dtype)
    start = torch.randn(batch, coils, pixels, dtype=dtype)
    vectors, values = dominant_eigenvector(matrices, start, tolerance=1e-6)
    wanted = torch.linalg.eigh(matrices.movedim(-1, 1))
    torch.testing.assert_close(values, wanted.eigenvalues[..., -1], atol=1e-5, rtol=0)
    overlap = (wanted.eigenvectors[..., -1].movedim(1, -1).conj() * vectors).sum(1).abs()
    torch.testing.assert_close(overlap, torch.ones_like(overlap), atol=1e-5, rtol=0)


def test_pixels_without_signal_share_equally_and_keep_unit_length():
    matrices = torch.zeros(1, 4, 4, 2, dtype=torch.complex64)
    matrices[0, 1, 1, 1] = 3.0
    vectors, values = dominant_eigenvector(matrices, torch.zeros(1, 4, 2, dtype=torch.complex64))
    torch.testing.assert_close(vectors[0, :, 0], torch.full((4,), 0.5, dtype=torch.complex64))
    torch.testing.assert_close(vectors[0, :, 1].abs(), torch.tensor([0.0, 1, 0, 0]))
    assert values.tolist() == [[0, 3]]


def test_scale_changes_values_and_no_vector():
    torch.manual_seed(0)
    matrices, start = field(1, 3, 6, torch.complex128), torch.randn(1, 3, 6, dtype=torch.complex128)
    vectors, values = dominant_eigenvector(matrices, start)
    for factor in (1e-12, 1e12):
        other, scaled = dominant_eigenvector(factor * matrices, factor * start)
        torch.testing.assert_close(other, vectors)
        torch.testing.assert_close(scaled, factor * values)


def test_a_slow_pixel_below_the_limit_keeps_nobody_waiting():
    """Eigenvalues 0.5 and 0.4999 in the one pixel: whether it is asked about decides how long the
    other is iterated too.
    """
    slow, fast = torch.diag(torch.tensor([0.5, 0.4999])), torch.diag(torch.tensor([1.0, 0.1]))
    matrices = torch.stack([slow, fast], -1)[None].to(torch.complex128)
    start = torch.full((1, 2, 2), 2**-0.5, dtype=torch.complex128)
    off_axis = {
        above: float(dominant_eigenvector(matrices, start, 1e-9, 4000, above)[0][0, 1, 0].abs())
        for above in (0.0, 0.6)
    }
    assert off_axis[0.6] > 0.7 and off_axis[0.0] < 0.6


def test_alignment_turns_phases_and_nothing_else():
    torch.manual_seed(0)
    vectors, reference = (
        torch.randn(2, 3, 5, 4, dtype=torch.complex128),
        torch.randn(2, 3, 5, 4, dtype=torch.complex128),
    )
    reference[..., 0] = 0
    turned = aligned(vectors, reference)
    inner = (reference.conj() * turned).sum(1)
    assert inner.imag.abs().max() < 1e-12 and inner.real.min() >= 0
    torch.testing.assert_close(turned.abs(), vectors.abs())
    torch.testing.assert_close(turned[..., 0], vectors[..., 0])
