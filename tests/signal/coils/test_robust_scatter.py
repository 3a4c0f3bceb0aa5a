"""The covariance of noise, from samples some of which are signal, and which may be few."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.signal.coils.robust_scatter import mahalanobis, robust_scatter


def correlated(coils: int, count: int) -> tuple[Tensor, Tensor]:
    """(noise (coil, n), its true covariance of trace = coils)."""
    mixing = torch.randn(coils, coils, dtype=torch.complex128) + 2 * torch.eye(coils)
    true = mixing @ mixing.mH
    return mixing @ torch.randn(coils, count, dtype=torch.complex128), (
        true * coils / true.diagonal().real.sum()
    )


def distance(found: Tensor, true: Tensor) -> float:
    return float(torch.linalg.norm(found - true) / torch.linalg.norm(true))


@pytest.mark.parametrize("coils", [2, 5, 16])
def test_many_samples_give_the_true_covariance(coils: int) -> None:
    noise, true = correlated(coils, 20_000)
    assert distance(robust_scatter(noise), true) < 0.05


def test_samples_full_of_signal_count_no_more_than_others() -> None:
    noise, true = correlated(6, 4000)
    noise[:, :300] += 100 * torch.ones(6, 1)
    plain = noise @ noise.mH
    plain = plain * 6 / plain.diagonal().real.sum()
    assert distance(robust_scatter(noise), true) < 0.2 < 1 < distance(plain, true)


@pytest.mark.parametrize("coils, count", [(4, 400), (16, 100), (16, 8)])
def test_white_noise_has_the_identity_and_few_samples_no_holes(coils: int, count: int) -> None:
    noise = torch.randn(coils, count, dtype=torch.complex128)
    values = torch.linalg.eigvalsh(robust_scatter(noise))
    assert float(values[0]) > 0.5 and float(values[-1]) < 2
    # What the samples themselves say is far from it, where they are few.
    own = torch.linalg.eigvalsh(noise @ noise.mH / count)
    assert float(values[-1] / values[0]) < 0.5 * float(own[-1] / own[0].clamp_min(1e-9)) + 0.6


def test_it_is_a_shape_whatever_the_scale_and_zeros_tell_nothing() -> None:
    noise, _ = correlated(3, 200)
    found = robust_scatter(noise)
    assert float(found.diagonal().real.sum()) == pytest.approx(3)
    torch.testing.assert_close(robust_scatter(1e-30 * noise), found)
    padded = torch.cat([noise, torch.zeros(3, 500)], 1)
    torch.testing.assert_close(robust_scatter(padded), found)
    nothing = robust_scatter(torch.zeros(3, 5, dtype=torch.complex64))
    torch.testing.assert_close(nothing, torch.eye(3, dtype=torch.complex128))
    one = robust_scatter(noise[:1])
    torch.testing.assert_close(one, torch.ones(1, 1, dtype=torch.complex128))


def test_energies_are_those_of_the_inverse() -> None:
    noise, true = correlated(3, 4)
    expected = (noise.mH @ torch.linalg.inv(true) @ noise).diagonal().real
    torch.testing.assert_close(mahalanobis(noise, true), expected)
