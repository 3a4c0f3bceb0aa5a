"""The equilibria solve their formulas, scale with the data, and contract where the theory says
so.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import ImplicitGradient, JacobianFree
from deqlab.equilibrium.measure import spectral_norm
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.recon.deq.de_admm import DEADMM
from deqlab.recon.deq.de_grad import ACCURACY, DEGrad
from deqlab.recon.deq.de_prox import DEProx
from deqlab.recon.deq.mol import MonotoneMap
from deqlab.solvers import Anderson, Picard

STEP, WEIGHT = 0.45, 0.9
EXACT = {"tolerance": 1e-12, "max_evaluations": 500}


def build(kind: type, denoiser: nn.Module, **options) -> nn.Module:
    extra = {"weight": WEIGHT} if kind is DEGrad else {}
    return kind(denoiser, step=STEP, **extra, **(EXACT | options)).double()


def denoised(model: nn.Module, x: Tensor, data) -> Tensor:
    """R(x) at the phase of the zero-filled image."""
    phase = data.A.H(data.kspace).sum((-2, -1)).sgn()[:, None, None]
    return phase * model.denoiser(x / phase)


def formula(model: nn.Module, x: Tensor, data) -> Tensor:
    """f(x) as the papers write it, with A and A^H."""
    gradient = data.A.H(data.A(x) - data.kspace)
    if isinstance(model, DEProx):
        return denoised(model, x - model.step * gradient, data)
    return x - model.step * (gradient + model.log_weight.exp() * (x - denoised(model, x, data)))


KINDS = pytest.mark.parametrize("kind", [DEProx, DEGrad])


@KINDS
@pytest.mark.parametrize("coils, size", [(1, (6, 7)), (2, (5, 6))])
@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
def test_the_image_is_a_fixed_point_of_its_formula(
    measure, denoiser, kind: type, coils: int, size, solver
) -> None:
    data, model = measure(3, coils, size), build(kind, denoiser(), solver=solver)
    solution = model.solve(data.kspace, data.A)
    assert solution.converged.all()
    assert_close(formula(model, solution.value, data), solution.value, rtol=1e-9, atol=1e-9)
    # The map itself, anywhere.
    x = torch.randn(3, *size, dtype=torch.complex128)
    assert_close(model.fixed_point_map(data.kspace, data.A)(x), formula(model, x, data))
    with torch.no_grad():
        assert torch.equal(model(data.kspace, data.A), solution.value)


def test_de_grad_is_a_stationary_point(measure, denoiser) -> None:
    """A^H (A x - y) + weight (x - R(x)) = 0, whatever the step."""
    data, model = measure(), build(DEGrad, denoiser())
    weight = float(model.log_weight.detach().exp())
    assert weight == pytest.approx(WEIGHT)
    images = []
    for step in (STEP, 0.2):
        nn.init.constant_(model.log_step, torch.tensor(step).log())
        images.append(model.solve(data.kspace, data.A).value)
    x = images[0]
    assert_close(
        data.A.H(data.A(x) - data.kspace) + weight * (x - denoised(model, x, data)),
        torch.zeros_like(x),
        rtol=0,
        atol=1e-9,
    )
    assert_close(images[1], x, rtol=1e-8, atol=1e-8)


@KINDS
def test_a_sample_does_not_depend_on_its_batch_mates(measure, denoiser, kind: type) -> None:
    data, model = measure(4), build(kind, denoiser(), tolerance=1e-6)
    together = model.solve(data.kspace, data.A)
    for index in range(4):
        alone = model.solve(data.member(index).kspace, data.member(index).A)
        assert_close(alone.value[0], together.value[index], rtol=1e-6, atol=1e-6)
        assert int(alone.evaluations) == int(together.evaluations[index])


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e4])
@pytest.mark.parametrize("name", ["zero-filled", "cg-sense", DEProx, DEGrad])
def test_every_method_scales_with_the_data(measure, denoiser, name, scale: float) -> None:
    """recon(a y) = a recon(y): whatever the scanner's units."""
    data = measure()
    model = create(name) if isinstance(name, str) else build(name, denoiser(), tolerance=1e-3)
    with torch.no_grad():
        plain, scaled = model(data.kspace, data.A), model(scale * data.kspace, data.A)
    assert_close(scaled / scale, plain, rtol=1e-6, atol=1e-6)


@KINDS
@pytest.mark.parametrize("index", [[1], [2, 0], [0, 1, 2]])
def test_a_map_can_be_restricted_to_some_samples(
    measure, denoiser, kind: type, index: list[int]
) -> None:
    data, chosen = measure(), torch.tensor(index)
    f = build(kind, denoiser()).fixed_point_map(data.kspace, data.A)
    x = torch.randn(3, 6, 7, dtype=torch.complex128)
    assert_close(f.select(chosen)(x[chosen]), f(x)[chosen])
    assert torch.equal(f.select(chosen).projection, data.A.H(data.kspace)[chosen])
    twice = f.select(chosen).select(torch.tensor([0]))
    assert_close(twice(x[chosen][:1]), f(x)[chosen][:1])


def test_finished_samples_leave_the_solve(measure, denoiser) -> None:
    """The denoiser sees as many images as the Solution counts evaluations, and at the end all four
    once more, as a proof that those who left are still at rest.
    """
    data, model = measure(4), build(DEGrad, denoiser(), tolerance=1e-5)
    data.kspace[0] = 0
    rows: list[int] = []
    model.denoiser.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    solution = model.solve(data.kspace, data.A)
    assert rows[-1] == 4 and int(solution.evaluations[0]) == 1
    assert sum(rows) - 4 == int(solution.evaluations.sum())
    assert bool((solution.value[0] == 0).all())


@KINDS
def test_start_tolerance_and_budget_are_obeyed(measure, denoiser, kind: type) -> None:
    data, model = measure(), build(kind, denoiser())
    seen: list[Tensor] = []
    short = model.solve(
        data.kspace,
        data.A,
        max_evaluations=3,
        callback=lambda k, x, running: seen.append(x.clone()),
    )
    assert short.evaluations.tolist() == [3] * 3 and len(seen) == 3
    assert torch.equal(seen[0], data.A.H(data.kspace))
    assert bool(
        (
            model.solve(data.kspace, data.A, tolerance=1e-2).evaluations
            < model.solve(data.kspace, data.A).evaluations
        ).all()
    )
    solved = model.solve(data.kspace, data.A).value
    assert int(model.solve(data.kspace, data.A, tolerance=1e-6, x0=solved).evaluations.max()) == 1


@pytest.mark.parametrize("lipschitz", [0.3, 0.9])
@pytest.mark.parametrize("step", [0.1, 0.49])
def test_de_grad_contracts_even_where_nothing_is_measured(
    measure, denoiser, lipschitz: float, step: float
) -> None:
    """Lip(f) <= 1 - eta + eta L for Lip(R) <= L < 1, eta < 1 / (1 + ||A||^2): A undersampled, and A
    = 0.
    """
    data = measure(2)
    model = DEGrad(denoiser(lipschitz), step=step, weight=1.0).double()
    nothing = CartesianOperator(torch.zeros(7, dtype=torch.bool))
    bound = 1 - step + step * lipschitz
    for kspace, A in (
        (data.kspace, data.A),
        (torch.zeros(2, 1, 6, 7, dtype=torch.complex128), nothing),
    ):
        f = model.fixed_point_map(kspace, A)
        x, z = (torch.randn(2, 6, 7, dtype=torch.complex128) for _ in range(2))
        with torch.no_grad():
            assert bool(
                (
                    (f(x) - f(z)).flatten(1).norm(dim=1) <= bound * (x - z).flatten(1).norm(dim=1)
                ).all()
            )
        measured = spectral_norm(f, x, iterations=30)
        assert bool((measured <= bound * (1 + 1e-6)).all())
    # With A = 0 nothing but the denoiser acts: f is I - eta (I - R), bounded from below by 1 - eta
    # - eta L.
    assert bool((measured >= 1 - step - step * lipschitz).all())
    residuals = model.solve(data.kspace, data.A, tolerance=1e-8, max_evaluations=2000)
    assert residuals.converged.all()


def test_de_grad_iterates_a_map_that_is_faster_where_nothing_is_measured(gain, measure) -> None:
    """In the null space of A the rate is about q for R = q I and eta = 1, where that of gradient
    descent is 1 - eta w (1 - q).
    """
    data, q, weight = measure(2, coils=1), 0.9, 0.25
    model = DEGrad(gain(q), step=1.0, weight=weight).double()
    x = torch.randn(2, 6, 7, dtype=torch.complex128)
    null = x - data.A.normal(x)
    zero = torch.zeros_like(data.kspace)
    assert_close(model.fixed_point_map(zero, data.A)(null), (1 - weight * (1 - q)) * null)
    moved = null - model.iterated_map(zero, data.A)(null)
    assert_close(moved, (1 - q) * null, rtol=ACCURACY, atol=1e-12)


@pytest.mark.parametrize("coils", [1, 3])
def test_at_step_one_the_iterated_map_is_nearly_that_of_monotone_operator_learning(
    measure, denoiser, coils: int
) -> None:
    """f - f_MOL = (I - P M) M^-1 g with M = A^H A + w, and M^-1 g = x - f_MOL(x) at step 1: off by
    at most ACCURACY of the step.
    """
    data = measure(3, coils)
    f = DEGrad(denoiser(), step=1.0, weight=0.25).double().iterated_map(data.kspace, data.A)
    exact = MonotoneMap(f.projection, f.A, f.denoiser, f.step, f.weight)
    x = torch.randn(3, 6, 7, dtype=torch.complex128)
    with torch.no_grad():
        off, step = (a.flatten(1).norm(dim=1) for a in (f(x) - exact(x), x - exact(x)))
    assert bool((off <= ACCURACY * step).all() and (off > 0).all())


@pytest.mark.parametrize("weight", [1e-30, 1e-6, 0.3, 1e6])
def test_no_weight_makes_an_evaluation_expensive(gain, measure, weight: float) -> None:
    """And none makes the map expand what is measured: every eigenvalue of P (A^H A + w) lies in (0,
    1 + ACCURACY].
    """
    data = measure(2)
    f = (
        DEGrad(gain(0.0), weight=weight)
        .double()
        .iterated_map(torch.zeros_like(data.kspace), data.A)
    )
    assert f.inverse.degree < 20
    stretch = spectral_norm(
        lambda x: x - f(x), torch.randn(2, 6, 7, dtype=torch.complex128), iterations=50
    )
    assert bool((stretch > 0).all() and (stretch <= 1 + ACCURACY + 1e-9).all())


@pytest.mark.parametrize("index", [[1], [2, 0]])
def test_the_preconditioned_map_can_be_restricted_too(measure, denoiser, index: list[int]) -> None:
    data, chosen = measure(), torch.tensor(index)
    f = build(DEGrad, denoiser()).iterated_map(data.kspace, data.A)
    f = replace(f, largest=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).reshape(3, 1, 1))
    x = torch.randn(3, 6, 7, dtype=torch.complex128)
    assert torch.equal(f.select(chosen).largest, f.largest[chosen])
    assert_close(f.select(torch.tensor([2]))(x[2:]), f(x)[2:])


def test_de_prox_has_no_such_guarantee(gain, measure) -> None:
    """With R = I + N and Lip(N) = 0.05 the null space of A expands, whatever the step."""
    data = measure(2, coils=1)
    for step in (0.1, 1.0, 1.9):
        f = DEProx(gain(1.05), step=step).double().fixed_point_map(data.kspace, data.A)
        x = torch.randn(2, 6, 7, dtype=torch.complex128)
        assert_close(
            spectral_norm(f, x, iterations=200),
            torch.full((2,), 1.05, dtype=torch.float64),
            rtol=1e-2,
            atol=0,
        )
    # From a start with a share in the null space; the zero-filled image has none.
    model = build(DEProx, gain(1.05), solver=Picard())
    assert not model.solve(
        data.kspace, data.A, x0=x, tolerance=1e-3, max_evaluations=200
    ).converged.any()


@KINDS
def test_the_learned_numbers_have_the_right_gradient(measure, denoiser, kind: type) -> None:
    """Implicit gradient in the step, the weight and the first kernel against differences of solved
    losses.
    """
    data, model = (
        measure(2),
        build(kind, denoiser(), gradient=ImplicitGradient(tolerance=1e-12, max_evaluations=300)),
    )
    target = torch.randn(2, 6, 7, dtype=torch.complex128)

    def loss() -> Tensor:
        return (model(data.kspace, data.A) - target).abs().square().sum()

    loss().backward()
    first = model.denoiser.convolutions()[0].weight
    for parameter in [model.log_step, first, *([model.log_weight] if kind is DEGrad else [])]:
        direction = torch.ones_like(parameter)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-5 * direction)
                values.append(loss().item())
                parameter.sub_(sign * 1e-5 * direction)
        slope = (values[0] - values[1]) / 2e-5
        assert float((parameter.grad * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_step_of_de_grad_does_not_move_its_equilibrium(measure, denoiser) -> None:
    """Its exact gradient is zero; the Jacobian-free one is too, for the residual is."""
    data = measure(2)
    for gradient in (ImplicitGradient(tolerance=1e-12, max_evaluations=300), JacobianFree()):
        model = build(DEGrad, denoiser(), gradient=gradient)
        model(data.kspace, data.A).abs().sum().backward()
        assert abs(model.log_step.grad.item()) < 1e-8


@KINDS
def test_the_step_is_positive_and_as_given(denoiser, kind: type) -> None:
    model = build(kind, denoiser())
    assert model.step.item() == pytest.approx(STEP)
    nn.init.constant_(model.log_step, -20.0)
    assert model.step.item() > 0
    assert {"log_step"} <= set(dict(model.named_parameters()))


@KINDS
def test_single_precision_stays_single(measure, denoiser, kind: type) -> None:
    data = measure(2, dtype=torch.complex64)
    model = kind(denoiser(dtype=torch.float32), step=STEP)
    image = model(data.kspace, data.A)
    assert image.dtype == torch.complex64 and image.requires_grad
    assert model.solve(data.kspace, data.A).converged.all()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "kind, option", [(DEProx, "step"), (DEGrad, "step"), (DEGrad, "weight"), (DEADMM, "step")]
)
def test_a_number_without_a_logarithm_is_refused(kind: type, option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{option}: {value} given"):
        kind(nn.Identity(), **{option: value})
