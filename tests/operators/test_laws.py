"""Laws that every operator obeys, over all kinds, odd and even sizes, batches 1 to 5."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import LinearOperator

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


def test_a_bound_of_the_squared_norm_holds_and_has_the_axes_of_an_image(batch_case) -> None:
    x = batch_case.image()
    bound = batch_case.A.squared_norm(x)
    assert bound.shape == (3, *(1,) * (x.ndim - 1)) and bound.dtype == torch.float64
    truth = torch.linalg.matrix_norm(batch_case.matrix, ord=2).square().expand(3)
    assert bool((bound.flatten() >= truth * (1 - 1e-9)).all())
    assert bool((bound.flatten() >= batch_case.A.norm(x).square() * (1 - 1e-9)).all())
    assert batch_case.A.squared_norm(x.to(torch.complex64)).dtype == torch.float32


def test_dimensions_coils_and_members_are_those_of_the_images(batch_case) -> None:
    A = batch_case.A
    assert A.dimensions == len(batch_case.image_shape) - 1
    assert A.coils == batch_case.kspace_shape[1]
    assert A.members in (1, 3) and A.select(torch.tensor([1])).members == 1


@pytest.mark.parametrize("index", [[0], [2, 0], [1, 1, 2], [0, 1, 2]])
def test_select_is_the_operator_of_some_members(batch_case, index: list[int]) -> None:
    A, chosen = batch_case.A, torch.tensor(index)
    x, y = batch_case.image(), batch_case.kspace()
    part = A.select(chosen)
    assert type(part) is type(A)
    assert_close(part(x[chosen]), A(x)[chosen], **EXACT)
    assert_close(part.H(y[chosen]), A.H(y)[chosen], **EXACT)
    assert_close(part.normal(x[chosen]), A.normal(x)[chosen], **EXACT)


def test_stack_is_each_slice_for_itself_and_select_takes_it_apart_again(batch_case) -> None:
    order = [2, 0, 1]
    apart = [batch_case.A.select(torch.tensor([member])) for member in order]
    together = LinearOperator.stack(apart)
    assert type(together) is type(batch_case.A)
    x, y = batch_case.image(), batch_case.kspace()
    slices = [(A, x[i : i + 1], y[i : i + 1]) for i, A in enumerate(apart)]
    assert_close(together(x), torch.cat([A(image) for A, image, _ in slices]), **EXACT)
    assert_close(together.H(y), torch.cat([A.H(kspace) for A, _, kspace in slices]), **EXACT)
    normals = torch.cat([A.normal(image) for A, image, _ in slices])
    assert_close(together.normal(x), normals, **EXACT)
    for i, (A, image, kspace) in enumerate(slices):
        alone = together.select(torch.tensor([i]))
        assert_close(alone(image), A(image), **EXACT)
        assert_close(alone.H(kspace), A.H(kspace), **EXACT)
    assert together.dimensions == batch_case.A.dimensions


def test_only_slices_of_one_kind_and_size_are_stacked(make_case) -> None:
    def alone(name: str, size: tuple[int, int] = (4, 5)) -> LinearOperator:
        return make_case(name, size, 1).A

    for others, words in (
        ([], "none given"),
        ([make_case("own maps", (4, 5), 2).A], "one slice each.*batch of 2"),
        ([alone("coils, lines"), alone("coils, nufft")], "CartesianOperator and NUFFTOperator"),
        ([alone("coils, lines"), alone("coils, lines", (4, 6))], "sizes of mask.*5.*6"),
        ([alone("coils, lines"), alone("one coil, lines")], "sizes of coil_maps.*None"),
        ([alone("coils, lines"), alone("volume, few lines")], "dimensions.*2 and 3"),
        ([alone("coils, nufft"), alone("coils, nufft", (4, 6))], "shape"),
        ([alone("coils, nufft"), alone("own weights, nufft")], "sizes of weights"),
        ([alone("composed"), alone("composed", (4, 6))], "sizes of mask"),
        ([alone("own maps, nufft, field"), alone("own maps, nufft, field")], "readout times"),
        ([alone("own maps, exact field"), alone("own maps, exact field")], "times"),
    ):
        with pytest.raises(InputError, match=words) as error:
            LinearOperator.stack(others)
        assert "\n" not in str(error.value)
