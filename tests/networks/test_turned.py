"""A denoiser that is turned meets the phase 0, sample by sample."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from deqlab.networks.told_network import AtLevel
from deqlab.networks.turned import Turned, unit_phase


def real_part(image: torch.Tensor) -> torch.Tensor:
    """A denoiser that takes all phase for noise."""
    return image.real.to(image)


def test_what_has_the_phase_of_the_map_is_met_at_the_phase_zero() -> None:
    x = torch.randn(2, 4, 5, dtype=torch.complex128)
    assert_close(Turned(real_part, unit_phase(x))(x), x)
    assert (real_part(x) - x).norm() > 0.1 * x.norm()


def test_phase_and_level_belong_to_a_sample() -> None:
    x, index = torch.randn(3, 4, 5, dtype=torch.complex128), torch.tensor([2, 0])
    level = torch.rand(3, 1, 1, dtype=torch.float64)
    told = AtLevel(lambda image, level: real_part(image) * level, level)
    turned = Turned(told, unit_phase(torch.randn_like(x)))
    assert_close(turned.select(index)(x[index]), turned(x)[index])
    plain = Turned(real_part, turned.phase)
    assert_close(plain.select(index)(x[index]), plain(x)[index])


def test_a_phase_has_modulus_one_and_finite_slopes() -> None:
    x = torch.tensor([[[0j, 3j, -1e-200, 1 - 1j]]], dtype=torch.complex128, requires_grad=True)
    right = torch.tensor([[[1, 1j, -1, (1 - 1j) / 2**0.5]]], dtype=torch.complex128)
    found = unit_phase(x)
    assert_close(found, right)
    found.imag[..., [0, 1, 3]].sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
