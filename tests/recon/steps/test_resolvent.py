"""(I + s A^H A)^-1 against dense linear algebra, with its derivatives."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import DeqlabWarning
from deqlab.operators import CartesianOperator
from deqlab.recon.steps.resolvent import resolvent

COILS = pytest.mark.parametrize("coils", [1, 3])


@COILS
@pytest.mark.parametrize("step", [1e-3, 0.7, 30.0])
def test_it_inverts(measure, coils: int, step: float) -> None:
    data = measure(3, coils)
    image = torch.randn(3, 6, 7, dtype=torch.complex128)
    x = resolvent(data.A, image, step)
    assert_close(x + step * data.A.normal(x), image, rtol=1e-10, atol=1e-10)
    assert_close(
        resolvent(data.A, image + step * data.A.normal(image), torch.tensor(step)),
        image,
        rtol=1e-6,
        atol=1e-6,
    )
    assert data.A.is_projection == (coils == 1)


def test_one_coil_needs_one_product_and_no_iteration(measure) -> None:
    data, calls = measure(2, 1), []
    normal = data.A._normal
    data.A._normal = lambda image: calls.append(1) or normal(image)
    resolvent(data.A, torch.randn(2, 6, 7, dtype=torch.complex128), 0.5)
    assert len(calls) == 1


@COILS
def test_its_derivatives_in_the_image_and_the_step_once_and_twice(measure, coils: int) -> None:
    """Against differences; twice, because a Jacobian is measured by differentiating a
    vector-Jacobian product.
    """
    data = measure(1, coils, (2, 3))
    image = torch.randn(1, 2, 3, dtype=torch.complex128, requires_grad=True)
    step = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda b, s: resolvent(data.A, b, s), (image, step), rtol=1e-5, atol=1e-8
    )
    assert torch.autograd.gradgradcheck(
        lambda b, s: resolvent(data.A, b, s), (image, step), rtol=1e-5, atol=1e-8
    )


@COILS
def test_a_sample_does_not_depend_on_its_batch_mates(measure, coils: int) -> None:
    data = measure(3, coils)
    image = (
        torch.randn(3, 6, 7, dtype=torch.complex128) * torch.tensor([1e-6, 1.0, 1e6])[:, None, None]
    )
    together = resolvent(data.A, image, 2.0)
    for index in range(3):
        alone = resolvent(data.member(index).A, image[index : index + 1], 2.0)
        assert_close(alone[0], together[index], rtol=1e-9, atol=0)


def test_single_precision_is_kept_and_reached(measure) -> None:
    data = measure(2, 3, dtype=torch.complex64)
    image = torch.randn(2, 6, 7, dtype=torch.complex64)
    x = resolvent(data.A, image, torch.tensor(1.5))
    assert x.dtype == torch.complex64
    assert_close(x + 1.5 * data.A.normal(x), image, rtol=0, atol=2e-5)


def test_a_step_that_is_too_large_for_the_iteration_is_said(measure, monkeypatch) -> None:
    from deqlab.recon.steps import resolvent as module

    data, image = measure(2, 3), torch.randn(2, 6, 7, dtype=torch.complex128)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolvent(data.A, image, 5.0)
        resolvent(
            data.A, image * torch.nan, 5.0
        )  # a solve names it; it is not for the iteration to complain
    monkeypatch.setattr(module, "MAX_ITERATIONS", 3)
    with pytest.warns(
        DeqlabWarning, match="s = 50: conjugate gradients stopped after 3 iterations"
    ):
        resolvent(data.A, image, 50.0)


def test_nothing_measured_changes_nothing() -> None:
    image = torch.randn(2, 6, 7, dtype=torch.complex128)
    A = CartesianOperator(
        torch.zeros(7, dtype=torch.bool), torch.randn(2, 6, 7, dtype=torch.complex128)
    )
    assert_close(resolvent(A, image, 3.0), image)
