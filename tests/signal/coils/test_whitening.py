"""Whitened noise has unit covariance, and a combination of whitened coils has the most signal for
its noise.
"""

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.coils.whitening import mix_coils, noise_covariance, whiten, whitening_matrix


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def correlated(
    coils: int, samples: int, dtype: torch.dtype = torch.complex128
) -> tuple[torch.Tensor, torch.Tensor]:
    """(noise (coil, samples), its true covariance)."""
    mixing = torch.randn(coils, coils, dtype=dtype) + 2 * torch.diag(torch.rand(coils)).to(dtype)
    return mixing @ torch.randn(coils, samples, dtype=dtype), mixing @ mixing.mH


@pytest.mark.parametrize("coils", [1, 2, 5, 8])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e12])
def test_whitened_samples_have_unit_covariance(coils, scale):
    noise, _ = correlated(coils, 500)
    noise = scale * noise
    white = whiten(noise.unflatten(1, (20, 25)), noise_covariance(noise))
    assert white.shape == (coils, 20, 25)
    torch.testing.assert_close(noise_covariance(white), torch.eye(coils, dtype=torch.complex128))


def test_covariance_is_that_of_the_noise():
    noise, true = correlated(3, 200_000)
    assert float((noise_covariance(noise) - true).abs().max() / true.abs().max()) < 0.02
    torch.testing.assert_close(
        noise_covariance(noise.unflatten(1, (400, 500))), noise_covariance(noise)
    )
    rough = noise_covariance(noise.to(torch.complex64))
    assert rough.dtype == torch.complex64 and rough.is_complex()


def test_whitening_gains_signal_to_noise_and_no_combination_gains_more():
    """One noisy coil among quiet ones, and correlations: matched filter on white data against the
    matched filter on raw data.
    """
    maps = torch.randn(4, 1, 1, dtype=torch.complex128)
    noise, covariance = correlated(4, 50_000)
    noise[0] *= 5
    covariance = noise_covariance(noise)
    noise = noise.unflatten(1, (200, 250))

    def signal_to_noise(maps, noise):
        weights = maps.conj() / maps.abs().square().sum()
        return 1 / float((weights * noise).sum(0).std())

    whitening = whitening_matrix(covariance)
    raw, white = (
        signal_to_noise(maps, noise),
        signal_to_noise(mix_coils(whitening, maps), mix_coils(whitening, noise)),
    )
    best = (
        float((maps.flatten().conj() @ torch.linalg.solve(covariance, maps.flatten())).real) ** 0.5
    )
    assert white > 1.5 * raw and white == pytest.approx(best, rel=1e-4)


def test_mixing_is_a_matrix_product_over_coils():
    matrix, kspace = (
        torch.randn(2, 3, dtype=torch.complex128),
        torch.randn(4, 3, 5, 6, dtype=torch.complex128),
    )
    torch.testing.assert_close(
        mix_coils(matrix, kspace), torch.einsum("dc,bcyx->bdyx", matrix, kspace)
    )
    with pytest.raises(InputError, match="3 coils.*has 2"):
        mix_coils(matrix, kspace[:, :2])


@pytest.mark.parametrize(
    "covariance, words",
    [
        (torch.eye(3)[:2], "shape"),
        (torch.tensor([[1.0, 0.5], [0.2, 1.0]]), "Hermitian"),
        (torch.tensor([[1.0, 1.0], [1.0, 1.0]]), "positive definite"),
        (torch.diag(torch.tensor([1.0, 0.0])), "positive definite"),
        (-torch.eye(2), "positive definite"),
        (torch.tensor([[1.0, 0.0], [0.0, float("nan")]]), "NaN"),
    ],
)
def test_covariances_that_cannot_be_are_named(covariance, words):
    with pytest.raises(InputError, match=words):
        whitening_matrix(covariance.to(torch.complex128))


@pytest.mark.parametrize(
    "noise",
    [
        torch.randn(3, 2, dtype=torch.complex64),
        torch.randn(3, 9),
        torch.randn(9, dtype=torch.complex64),
    ],
)
def test_noise_that_says_too_little_is_refused(noise):
    with pytest.raises(InputError, match="noise"):
        noise_covariance(noise)
