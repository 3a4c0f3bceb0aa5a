"""SENSE unfolding: the pseudo-inverse of A for every comb, and noise amplified as its rows say."""

from __future__ import annotations

import math

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.sense import SENSE, comb

# width, acceleration, first line, coils: odd and even, the comb on and off the centre, full
# sampling.
COMBS = [(12, 3, 1, 4), (12, 4, 2, 5), (15, 3, 0, 4), (15, 5, 4, 6), (8, 1, 0, 2), (14, 2, 1, 3)]


def normalised_maps(
    batch: int, coils: int, rows: int, columns: int, dtype: torch.dtype = torch.complex128
) -> torch.Tensor:
    maps = torch.randn(batch, coils, rows, columns, dtype=dtype)
    return maps / maps.abs().square().sum(1, keepdim=True).sqrt()


def noisy(A: CartesianOperator, batch: int, rows: int, columns: int) -> torch.Tensor:
    kspace = A(torch.randn(batch, rows, columns, dtype=torch.complex128))
    return kspace + 0.1 * torch.randn_like(kspace) * A.mask


def matrix(A: CartesianOperator, rows: int, columns: int) -> torch.Tensor:
    """A as a dense matrix, its rows the measured samples."""
    pixels = torch.eye(rows * columns, dtype=torch.complex128).reshape(-1, rows, columns)
    samples = A(pixels)
    measured = A.mask.expand(1, *samples.shape[1:]).flatten()
    return samples.flatten(1).mT[measured]


@pytest.mark.parametrize("width, acceleration, first, coils", COMBS)
def test_it_is_the_pseudo_inverse_and_its_noise(width, acceleration, first, coils) -> None:
    A = CartesianOperator(
        torch.arange(width) % acceleration == first, normalised_maps(1, coils, 3, width)
    )
    kspace = noisy(A, 1, 3, width)
    inverse = torch.linalg.pinv(matrix(A, 3, width))
    unfolded = SENSE().unfold(kspace, A)
    wanted = inverse @ kspace[A.mask.expand_as(kspace)]
    torch.testing.assert_close(unfolded.image.flatten(), wanted)
    # Full sampling with normalised maps leaves noise as it is, so the rows' lengths are what
    # undersampling did to it.
    amplified = torch.linalg.vector_norm(inverse, dim=1) / math.sqrt(acceleration)
    torch.testing.assert_close(unfolded.g_factor.flatten(), amplified)
    assert unfolded.acceleration == acceleration
    assert float(unfolded.g_factor.min()) >= 1 - 1e-12 and (
        acceleration == 1 or float(unfolded.g_factor.max()) > 1.01
    )


@pytest.mark.parametrize("weight", [0.0, 0.05])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("shared_maps", [True, False])
def test_it_is_where_conjugate_gradients_end(weight, batch, shared_maps) -> None:
    A = CartesianOperator(
        torch.arange(12) % 3 == 1, normalised_maps(1 if shared_maps else batch, 5, 4, 12)
    )
    kspace = noisy(A, batch, 4, 12)
    torch.testing.assert_close(
        SENSE(weight)(kspace, A), CGSense(weight, 1e-13, 1000)(kspace, A), atol=1e-9, rtol=1e-9
    )


def test_unfolding_restores_a_noiseless_image_of_any_scale() -> None:
    image = torch.randn(2, 5, 12, dtype=torch.complex128)
    maps = 3 * torch.randn(2, 6, 5, 12, dtype=torch.complex128)
    A = CartesianOperator(torch.arange(12) % 4 == 3, maps)
    for factor in (1e-20, 1.0, 1e20):
        torch.testing.assert_close(SENSE()(A(factor * image), A), factor * image)
    single = SENSE()(A(image).to(torch.complex64), A)
    assert single.dtype == torch.complex64
    torch.testing.assert_close(single, image.to(torch.complex64), atol=1e-4, rtol=1e-4)


def test_replicas_spread_as_the_g_factor_says() -> None:
    """Many noisy scans of nothing: their spread per pixel, over that of full sampling."""
    A = CartesianOperator(torch.arange(8) % 2 == 0, normalised_maps(1, 3, 2, 8))
    noise = torch.randn(20_000, 3, 2, 8, dtype=torch.complex128)
    unfolded = SENSE().unfold(noise * A.mask, A)
    torch.testing.assert_close(
        unfolded.image.std(0) / math.sqrt(2), unfolded.g_factor[0], rtol=0.03, atol=0
    )


def test_regularisation_holds_noise_back_and_empty_maps_give_zero() -> None:
    maps = normalised_maps(1, 3, 4, 12)
    maps[..., 0, :4] = 0
    A = CartesianOperator(torch.arange(12) % 3 == 0, maps)
    kspace = noisy(A, 1, 4, 12)
    plain, held = (SENSE(weight).unfold(kspace, A) for weight in (0.0, 0.1))
    assert bool((held.g_factor <= plain.g_factor + 1e-12).all()) and float(
        held.g_factor.max()
    ) < float(plain.g_factor.max())
    assert (
        bool(plain.image.isfinite().all())
        and float(plain.image[0, 0, :4].abs().max()) == float(plain.g_factor[0, 0, :4].max()) == 0
    )


def test_lines_beside_the_comb_are_left_out() -> None:
    maps, image = normalised_maps(1, 4, 3, 12), torch.randn(1, 3, 12, dtype=torch.complex128)
    bare = torch.arange(12) % 3 == 0
    more = bare | (torch.arange(12) == 7)
    A, B = CartesianOperator(bare, maps), CartesianOperator(more, maps)
    torch.testing.assert_close(SENSE()(B(image), B), SENSE()(A(image), A))


@pytest.mark.parametrize(
    "mask, found",
    [
        ([1, 0, 1, 0, 1, 0], (2, 0)),
        ([0, 1, 1, 1, 0, 1], (2, 1)),
        ([1] * 6, (1, 0)),
        ([0, 0, 1, 0, 0, 1, 0, 0, 1], (3, 2)),
    ],
)
def test_combs_are_found(mask: list[int], found: tuple[int, int]) -> None:
    lines = torch.tensor(mask, dtype=torch.bool)
    assert comb(lines) == comb(lines.expand(2, 1, 1, -1)) == found


@pytest.mark.parametrize(
    "mask, words",
    [
        (torch.tensor([1, 0, 0, 1, 1, 0, 1], dtype=torch.bool), "are no comb"),
        (torch.zeros(6, dtype=torch.bool), "0 of 6"),
        # Every fourth line is there, and so are others that the comb would throw away.
        (torch.tensor([1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0], dtype=torch.bool), "5 of 12"),
        (torch.ones(4, 6, dtype=torch.bool), "whole lines"),
        (torch.eye(6, dtype=torch.bool)[:2].reshape(2, 1, 1, 6), "for all"),
    ],
)
def test_masks_without_a_comb_are_named(mask: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        comb(mask)


def test_a_weight_that_cannot_be_is_named() -> None:
    with pytest.raises(InputError, match="weight"):
        SENSE(-1.0)
