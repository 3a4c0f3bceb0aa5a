"""MOL contracts for every A, its step stays where it must, and its equilibrium is that of
DE-Grad.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import ImplicitGradient
from deqlab.equilibrium.measure import spectral_norm
from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.mol import MOL
from deqlab.solvers import Anderson, Picard
from deqlab.theory import contraction
from deqlab.theory.contraction import DenoiserBound, Spectrum

EXACT = {"tolerance": 1e-12, "max_evaluations": 2000}
WEIGHT = 0.7


def build(denoiser: nn.Module, step: float = 0.9, **options) -> MOL:
    return MOL(denoiser, step=step, weight=WEIGHT, **(EXACT | options)).double()


def formula(model: MOL, x: Tensor, data) -> Tensor:
    """(1 + alpha lambda A^H A)^-1 ((1 - alpha) x + alpha H(x) + alpha lambda A^H y) as the paper
    writes it, by dense algebra.
    """
    alpha = model.step.detach()
    weight = float(alpha / model.log_weight.detach().exp())
    phase = data.A.H(data.kspace).sum((-2, -1)).sgn()[:, None, None]
    right = (
        (1 - alpha) * x + alpha * phase * model.denoiser(x / phase) + weight * data.A.H(data.kspace)
    )
    pixels = x[0].numel()
    result = []
    for index in range(len(x)):
        units = torch.eye(pixels, dtype=x.dtype).reshape(pixels, *x.shape[1:])
        one = data.member(index)
        matrix = torch.cat([one.A(unit[None]).reshape(1, -1) for unit in units]).T
        result.append(
            torch.linalg.solve(
                torch.eye(pixels) + weight * matrix.mH @ matrix, right[index].flatten()
            )
        )
    return torch.stack(result).reshape(x.shape)


@pytest.mark.parametrize("coils", [1, 2])
@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
@torch.no_grad()
def test_the_image_is_a_fixed_point_of_the_papers_formula(
    measure, denoiser, coils: int, solver
) -> None:
    data, model = measure(3, coils), build(denoiser(), solver=solver)
    solution = model.solve(data.kspace, data.A)
    assert solution.converged.all()
    assert_close(formula(model, solution.value, data), solution.value, rtol=1e-9, atol=1e-9)
    x = torch.randn(3, 6, 7, dtype=torch.complex128)
    assert_close(model.fixed_point_map(data.kspace, data.A)(x), formula(model, x, data))


@pytest.mark.parametrize("coils", [1, 2])
def test_it_has_the_equilibrium_of_de_grad(measure, denoiser, coils: int) -> None:
    """A^H (A x - y) + w (x - H(x)) = 0, whatever the step of either."""
    data, H = measure(3, coils), denoiser()
    image = DEGrad(H, step=0.4, weight=WEIGHT, **EXACT).double().solve(data.kspace, data.A).value
    for step in (0.2, 1.05):
        assert_close(build(H, step).solve(data.kspace, data.A).value, image, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("lipschitz", [0.3, 0.9])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
@torch.no_grad()
def test_every_admitted_step_contracts_as_fast_as_its_bound(
    measure, denoiser, lipschitz: float, share: float
) -> None:
    """Undersampled, and with nothing measured at all; between any two images, and at a point."""
    data, H = measure(2), denoiser(lipschitz)
    model = build(H, step=share * 2 / (1 + lipschitz))
    bound = contraction.mol(DenoiserBound.of(H), Spectrum(), float(model.step), WEIGHT)
    assert bound < 1
    nothing = CartesianOperator(torch.zeros(7, dtype=torch.bool))
    for kspace, A in (
        (data.kspace, data.A),
        (torch.zeros(2, 1, 6, 7, dtype=torch.complex128), nothing),
    ):
        f = model.fixed_point_map(kspace, A)
        x, z = (torch.randn(2, 6, 7, dtype=torch.complex128) for _ in range(2))
        assert bool(
            ((f(x) - f(z)).flatten(1).norm(dim=1) <= bound * (x - z).flatten(1).norm(dim=1)).all()
        )
        assert bool((spectral_norm(f, x, iterations=30) <= bound * (1 + 1e-6)).all())


def test_no_value_of_what_is_learned_leaves_the_interval(denoiser) -> None:
    for lipschitz in (0.01, 0.5, 0.999):
        H = denoiser(lipschitz)
        model = build(H)
        low, high = contraction.mol_steps(DenoiserBound.of(H), Spectrum())
        for value in (-1e4, -30.0, 0.0, 30.0, 1e4):
            nn.init.constant_(model.step_log_odds, value)
            assert low < model.step.item() < high
            assert contraction.mol(DenoiserBound.of(H), Spectrum(), model.step.item()) < 1


def test_the_step_is_as_given_and_both_numbers_are_learned(denoiser) -> None:
    for step in (0.01, 0.9, 1.1):
        assert build(denoiser(), step).step.item() == pytest.approx(step, rel=1e-5)
    names = dict(build(denoiser()).named_parameters())
    assert {"step_log_odds", "log_weight"} <= set(names) and "log_step" not in names
    assert names["log_weight"].exp().item() == pytest.approx(WEIGHT)


def test_the_weight_and_the_denoiser_have_the_right_gradient_and_the_step_none(
    measure, denoiser
) -> None:
    """Implicit gradient against differences of solved losses; several coils, so conjugate gradients
    are differentiated.
    """
    data = measure(2)
    model = build(denoiser(), gradient=ImplicitGradient(tolerance=1e-12, max_evaluations=500))
    target = torch.randn(2, 6, 7, dtype=torch.complex128)

    def loss() -> Tensor:
        return (model(data.kspace, data.A) - target).abs().square().sum()

    loss().backward()
    for parameter in (model.log_weight, model.denoiser.convolutions()[0].weight):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-5)
                values.append(loss().item())
                parameter.sub_(sign * 1e-5)
        slope = (values[0] - values[1]) / 2e-5
        assert abs(slope) > 1e-3 and float(parameter.grad.sum()) == pytest.approx(slope, rel=1e-5)
    assert abs(model.step_log_odds.grad.item()) < 1e-8


@pytest.mark.parametrize(
    "H, options, words",
    [
        (DnCNN(2, 2), {}, "no Lipschitz bound"),
        (nn.Identity(), {}, "no Lipschitz bound"),
        (DnCNN(2, 2, lipschitz=0.5), {}, "bound is 1.5, below 1 needed"),
        (DnCNN(2, 2, lipschitz=1.0, residual=False), {}, "bound is 1.0, below 1 needed"),
        (
            DnCNN(2, 2, lipschitz=0.6, residual=False),
            {"step": 1.26},
            "step: 1.26 given.*less than 1.25",
        ),
        (DnCNN(2, 2, lipschitz=0.6, residual=False), {"step": 0.0}, "step: 0.0"),
        (DnCNN(2, 2, lipschitz=0.6, residual=False), {"step": math.nan}, "step: nan"),
        (DnCNN(2, 2, lipschitz=0.6, residual=False), {"weight": 0.0}, "weight: 0.0"),
    ],
)
def test_without_a_bound_there_is_no_model(H: nn.Module, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        MOL(H, **options)


def test_single_precision_stays_single(measure, denoiser) -> None:
    data = measure(2, dtype=torch.complex64)
    model = MOL(denoiser(dtype=torch.float32))
    image = model(data.kspace, data.A)
    assert image.dtype == torch.complex64 and image.requires_grad
    assert model.solve(data.kspace, data.A).converged.all()
