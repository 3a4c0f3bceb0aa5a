"""Virtual coils: orthonormal, the best of their number, and one after the other less important."""

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.coils.coil_compression import compress_coils, compression_matrix, energy_kept
from deqlab.signal.coils.coil_maps import rss, simulate_coil_maps
from deqlab.signal.coils.whitening import mix_coils
from deqlab.signal.transforms.fourier import fft2c, ifft2c


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("coils", [1, 3, 8])
def test_rows_are_orthonormal_and_keep_what_the_singular_values_say(coils):
    kspace = torch.randn(8, 12, 11, dtype=torch.complex128) * torch.arange(1, 9)[:, None, None]
    matrix = compression_matrix(kspace, coils)
    torch.testing.assert_close(matrix @ matrix.mH, torch.eye(coils, dtype=torch.complex128))
    strengths = torch.linalg.svdvals(kspace.flatten(1)) ** 2
    torch.testing.assert_close(
        energy_kept(kspace, matrix), strengths[:coils].sum() / strengths.sum()
    )
    energies = compress_coils(kspace, coils).abs().square().sum((-2, -1))
    torch.testing.assert_close(energies, strengths[:coils])


def test_all_coils_lose_nothing():
    kspace = torch.randn(2, 5, 9, 8, dtype=torch.complex128)
    matrix = compression_matrix(kspace, 5)
    torch.testing.assert_close(rss(compress_coils(kspace, 5)), rss(kspace))
    torch.testing.assert_close(
        matrix.mH @ mix_coils(matrix, kspace).flatten(-2), kspace.flatten(-2)
    )


def test_many_smooth_coils_are_a_few():
    disc = torch.linspace(-1, 1, 40)[:, None] ** 2 + torch.linspace(-1, 1, 40) ** 2
    kspace = fft2c(simulate_coil_maps(16, (40, 40), 0).to(torch.complex128) * (disc < 0.5))
    kept = [float(energy_kept(kspace, compression_matrix(kspace, coils))) for coils in (1, 4, 8)]
    assert kept == sorted(kept) and kept[1] > 0.9 and kept[2] > 0.99
    image, fewer = rss(ifft2c(kspace)), rss(ifft2c(compress_coils(kspace, 8)))
    assert float((image - fewer).norm() / image.norm()) < 0.01


def test_the_lines_decide_and_members_of_a_batch_decide_alone():
    kspace = torch.randn(3, 4, 8, 10, dtype=torch.complex128)
    lines = slice(3, 8)
    matrix = compression_matrix(kspace, 2, lines)
    other = kspace.clone()
    other[..., :3], other[..., 8:] = 1e9, 0
    torch.testing.assert_close(compression_matrix(other, 2, lines), matrix)
    projection, alone = matrix.mH @ matrix, compression_matrix(1e20 * kspace[1], 2, lines)
    torch.testing.assert_close(alone.mH @ alone, projection[1])


@pytest.mark.parametrize("coils", [0, 5, -1])
def test_a_number_of_coils_that_cannot_be_is_named(coils):
    with pytest.raises(InputError, match="coils.*1 to 4"):
        compress_coils(torch.zeros(4, 6, 6, dtype=torch.complex64), coils)
