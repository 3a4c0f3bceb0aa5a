"""Losses by hand, and the law by which complex l2 pays for uncertain phase."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.losses import LOSSES, L1Loss, L2Loss, LogErrorLoss, NRMSELoss

IMAGE = torch.tensor([[3 + 4j, 1, 2j, 5]])
REFERENCE = torch.tensor([[0, 1, 0, 5 + 1j]])


def test_values_by_hand() -> None:
    assert float(L1Loss()(IMAGE, REFERENCE)) == pytest.approx((5 + 0 + 2 + 1) / 4)
    assert float(L2Loss()(IMAGE, REFERENCE)) == pytest.approx((25 + 0 + 4 + 1) / 4)
    assert float(L1Loss()(IMAGE.real, REFERENCE.real)) == pytest.approx(3 / 4)
    assert float(L2Loss()(IMAGE.real, REFERENCE.real)) == pytest.approx(9 / 4)


@pytest.mark.parametrize("loss", [L1Loss(), L2Loss(), NRMSELoss()], ids=repr)
def test_is_a_differentiable_real_scalar_with_its_minimum_at_the_reference(loss) -> None:
    torch.manual_seed(0)
    image, reference = (torch.randn(2, 3, 4, dtype=torch.complex128) for _ in range(2))
    value = loss(image, reference)
    assert value.shape == () and not value.is_complex()
    assert torch.autograd.gradcheck(loss, (image.requires_grad_(), reference))
    exact = reference.clone().requires_grad_()
    at_minimum = loss(exact, reference)
    # The modulus has a kink at zero: its gradient there must be zero, not NaN.
    assert float(at_minimum.detach()) == 0 and bool(
        (torch.autograd.grad(at_minimum, exact)[0] == 0).all()
    )


def minimiser(loss, references: Tensor) -> complex:
    """The one number that is closest to all references under `loss`, by Newton's method."""
    a = torch.zeros(2, dtype=torch.float64)
    for _ in range(3):
        value = lambda z: loss(torch.complex(z[0], z[1]).expand(references.shape), references)
        gradient, hessian = (
            torch.autograd.functional.jacobian(value, a),
            torch.autograd.functional.hessian(value, a),
        )
        a = a - torch.linalg.solve(hessian, gradient)
    return complex(a[0], a[1])


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 2.0])
def test_l2_under_phase_noise_shrinks_the_magnitude(sigma: float) -> None:
    """References m exp(i (phi + noise)), noise normal: the minimiser is m exp(-sigma^2 / 2) exp(i
    phi).
    """
    # The normal distribution by its quantiles, so that nothing is random.
    quantiles = torch.special.ndtri((torch.arange(20000, dtype=torch.float64) + 0.5) / 20000)
    references = 3.0 * torch.exp(1j * (0.7 + sigma * quantiles))
    best = minimiser(L2Loss(), references)
    assert abs(best) / 3.0 == pytest.approx(math.exp(-(sigma**2) / 2), rel=1e-3)
    assert math.atan2(best.imag, best.real) == pytest.approx(0.7, abs=1e-6)


def test_names() -> None:
    assert LOSSES.make("l1") == L1Loss() and LOSSES.make("l2") == L2Loss()
    with pytest.raises(InputError, match="'l3'.*l1, l2"):
        LOSSES.make("l3")


def test_nrmse_counts_every_sample_alike() -> None:
    """Whatever its brightness; an empty reference costs a finite number and has a finite slope."""
    reference = torch.randn(2, 5, 7, dtype=torch.complex128)
    image = 1.1 * reference
    image[1] = 0.7 * reference[1]
    dim = torch.tensor([1.0, 1e-3]).reshape(-1, 1, 1)
    assert float(NRMSELoss()(dim * image, dim * reference)) == pytest.approx(0.2, rel=1e-2)
    empty = torch.zeros(1, 5, 7, dtype=torch.complex128, requires_grad=True)
    loss = NRMSELoss()(empty, torch.zeros_like(empty))
    loss.backward()
    assert loss.item() == 0 and not empty.grad.any()


def test_log_error_counts_factors_of_the_error() -> None:
    """Halving an error costs log 2 less, be it large or small, in any units of the image; what is
    below the floor counts no more, and slopes are finite there.
    """
    reference = torch.randn(2, 5, 7, dtype=torch.complex128)
    error = torch.randn_like(reference) * reference.abs().mean()
    loss = LogErrorLoss(floor=1e-12)
    large, small = (float(loss(reference + size * error, reference)) for size in (0.5, 0.005))
    assert large - small == pytest.approx(math.log(100))
    assert float(loss(3 * (reference + 0.5 * error), 3 * reference)) == pytest.approx(large)
    halves = torch.tensor([0.5, 1.0]).reshape(-1, 1, 1)
    better = float(loss(reference + 0.5 * halves * error, reference))
    assert large - better == pytest.approx(math.log(2) / 2)
    image = reference.clone().requires_grad_()
    at_floor = LogErrorLoss(floor=0.01)(image, reference)
    at_floor.backward()
    assert at_floor.item() == pytest.approx(math.log(0.01)) and not image.grad.any()
