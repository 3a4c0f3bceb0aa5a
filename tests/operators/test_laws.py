"""Laws that every operator obeys, over all kinds, odd and even sizes, batches 1 to 5."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

EXACT = {"rtol": 0, "atol": 1e-11}


def test_is_its_matrix(case) -> None:
    x, y = case.image(), case.kspace()
    assert_close(case.A(x), case.dense(case.matrix, x, case.kspace_shape), **EXACT)
    assert_close(case.A.H(y), case.dense(case.matrix.mH, y, case.image_shape), **EXACT)
    assert_close(
        case.A.normal(x), case.dense(case.matrix.mH @ case.matrix, x, case.image_shape), **EXACT
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.complex128, 1e-12), (torch.complex64, 2e-5)])
def test_adjoint(case, dtype: torch.dtype, tolerance: float) -> None:
    x, y = case.image(dtype), case.kspace(dtype)
    forward, adjoint = case.A(x), case.A.H(y)
    assert forward.dtype == adjoint.dtype == dtype
    assert forward.shape == y.shape and adjoint.shape == x.shape
    # For every sample of the batch alone: a mix-up between samples would cancel in the sum over
    # all.
    left = (y.conj() * forward).flatten(1).sum(1)
    right = (adjoint.conj() * x).flatten(1).sum(1)
    assert_close(left, right, rtol=0, atol=tolerance * float(x.norm() * y.norm()))


def test_linear(case) -> None:
    a, b = 1.7 - 0.4j, -0.3 + 2j
    for map_, x, z in (
        (case.A, case.image(), case.image()),
        (case.A.H, case.kspace(), case.kspace()),
        (case.A.normal, case.image(), case.image()),
    ):
        assert_close(map_(a * x + b * z), a * map_(x) + b * map_(z), **EXACT)


@pytest.mark.parametrize("dtype, tolerance", [(torch.complex128, 1e-11), (torch.complex64, 1e-4)])
def test_normal_is_adjoint_after_forward(case, dtype: torch.dtype, tolerance: float) -> None:
    x = case.image(dtype)
    normal = case.A.normal(x)
    assert normal.dtype == dtype
    assert_close(normal, case.A.H(case.A(x)), rtol=0, atol=tolerance)


def test_gradient_is_the_adjoint(case) -> None:
    """The gradient of Re<y, A x> in x is A^H y, and that of Re<z, A^H A x> is A^H A z."""
    x, y, z = case.image().requires_grad_(), case.kspace(), case.image()
    backward = torch.autograd.grad((y.conj() * case.A(x)).real.sum(), x)[0]
    assert_close(backward, case.dense(case.matrix.mH, y, case.image_shape), **EXACT)
    backward = torch.autograd.grad((z.conj() * case.A.normal(x)).real.sum(), x)[0]
    assert_close(backward, case.A.normal(z), **EXACT)
    y.requires_grad_()
    backward = torch.autograd.grad((z.conj() * case.A.H(y)).real.sum(), y)[0]
    assert_close(backward, case.A(z), **EXACT)


def test_inputs_are_left_alone(case) -> None:
    x, y = case.image(), case.kspace()
    x_before, y_before = x.clone(), y.clone()
    case.A(x), case.A.H(y), case.A.normal(x)
    assert torch.equal(x, x_before) and torch.equal(y, y_before)


def test_first_and_second_derivatives_by_differences(small_case) -> None:
    x, y = small_case.image().requires_grad_(), small_case.kspace().requires_grad_()
    for map_, argument in ((small_case.A, x), (small_case.A.H, y), (small_case.A.normal, x)):
        # Entry by entry while that is quick, else along random directions.
        fast = y.numel() > 20
        assert torch.autograd.gradcheck(map_, argument, fast_mode=fast)
        assert torch.autograd.gradgradcheck(map_, argument, fast_mode=fast)


def test_second_derivative_of_the_data_term(small_case) -> None:
    """1/2 ||A x - y||^2 has the gradient A^H (A x - y) and the Hessian A^H A: backward has a
    backward.
    """
    x, y, z = small_case.image().requires_grad_(), small_case.kspace(), small_case.image()
    gradient = torch.autograd.grad(
        (small_case.A(x) - y).abs().square().sum() / 2, x, create_graph=True
    )[0]
    assert_close(gradient, small_case.A.H(small_case.A(x) - y), **EXACT)
    curvature = torch.autograd.grad((z.conj() * gradient).real.sum(), x)[0]
    assert_close(curvature, small_case.A.normal(z), **EXACT)


def test_no_graph_through_the_transform(small_case) -> None:
    """Backward needs nothing of the forward pass but the operator itself."""
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        small_case.A.H(small_case.A(small_case.image().requires_grad_()))
    assert saved == []


def test_norm_is_the_largest_singular_value(small_case) -> None:
    truth = torch.linalg.matrix_norm(small_case.matrix, ord=2).expand(2)
    measured = small_case.A.norm(small_case.image(), iterations=300)
    assert measured.shape == (2,) and not measured.is_complex()
    assert bool((measured <= truth * (1 + 1e-9)).all())
    assert_close(measured, truth, rtol=1e-3, atol=0)
