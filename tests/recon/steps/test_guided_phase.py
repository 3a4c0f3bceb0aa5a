"""The guided phase turns with the image, keeps what is constant, and jumps where tissues meet."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.networks.turned import unit_phase
from deqlab.recon.steps.guided_phase import GuidedPhase

SMOOTH = GuidedPhase(1.5, 0.05)


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j])
def test_it_turns_with_the_image_and_knows_no_scale(factor: complex) -> None:
    z = image(2, 12, 9)
    assert_close(SMOOTH(factor * z), factor / abs(factor) * SMOOTH(z))


def test_a_constant_phase_stays_whatever_the_modulus() -> None:
    z = (1 + 0.2j) * (0.1 + torch.rand(1, 14, 11, dtype=torch.float64))
    assert_close(SMOOTH(z), unit_phase(z), rtol=0, atol=0.03)


def test_no_fit_leads_beyond_modulus_one() -> None:
    """A dim pixel between tissues of opposite phase, whose line goes on to -2."""
    z = torch.full((1, 20, 20), 1 + 0j, dtype=torch.complex128)
    z[..., 10:] = -0.5
    z[0, 10, 10] = -0.1
    found = SMOOTH(z)
    assert float(found.abs().max()) <= 1 + 1e-9 and float(found[0, 10, 10].abs()) > 0.99


def test_phase_jumps_where_the_modulus_does() -> None:
    """Fat of half the signal beside water at the opposite phase. Windows without a guide mix them:
    water wins, or nobody does.
    """
    z = torch.full((1, 20, 20), 1 + 0j, dtype=torch.complex128)
    z[..., 10:] = -0.5
    assert float((unit_phase(SMOOTH(z)) - unit_phase(z)).abs().max()) < 1e-2
    blind = GuidedPhase(1.5, 1e3)(z)
    assert float((unit_phase(blind) - unit_phase(z)).abs().max()) > 1


def test_noise_in_air_has_little_phase() -> None:
    z = 0.01 * image(1, 40, 40)
    z[..., :20] += 1
    found = SMOOTH(z).abs()
    assert float(found[..., 5:15].min()) > 0.95
    assert float(found[..., 28:].mean()) < 0.7


def test_samples_know_nothing_of_each_other() -> None:
    z = image(3, 8, 10) * torch.tensor([1, 10, 0.1])[:, None, None]
    assert_close(SMOOTH(z)[2:], SMOOTH(z[2:]))


def test_nothing_has_no_phase_and_finite_slopes() -> None:
    z = torch.zeros(1, 5, 6, dtype=torch.complex128, requires_grad=True)
    found = SMOOTH(z)
    assert not found.any()
    found.real.sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(z.grad)).all())


def test_its_derivative_is_that_of_what_it_computes() -> None:
    assert torch.autograd.gradcheck(GuidedPhase(1.0, 0.3), (image(1, 4, 5).requires_grad_(),))
