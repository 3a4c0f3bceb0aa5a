"""The gradient-step denoiser steps down an energy, whoever asks for its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deqlab.equilibrium.measure import dense_jacobian
from deqlab.networks import DENOISERS, DemodulatedUNet, GradientStep
from deqlab.networks.protocol import Denoiser, at_level
from deqlab.operators import CartesianOperator
from deqlab.recon import create

SMALL = DemodulatedUNet.Options(widths=(3, 4), wide=())


def trained() -> GradientStep:
    model = GradientStep(network=SMALL)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.15)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


def levels(x: torch.Tensor) -> torch.Tensor:
    return torch.full((len(x), 1, 1), 0.05, dtype=torch.float64)


def test_it_starts_as_the_identity_at_any_size() -> None:
    for size in ((9, 12), (3, 5), (1, 1)):
        x = image(2, *size)
        assert torch.equal(GradientStep().double()(x), x)
        assert trained()(x).shape == x.shape


@pytest.mark.parametrize("told", [True, False])
def test_the_step_is_the_gradient_of_the_energy(told: bool) -> None:
    """Against differences of the energy along random directions, of real and imaginary part."""
    model, x = trained(), image(2, 6, 7)
    level = levels(x) if told else None
    left = (x - model.inner(x, level)).abs()
    torch.testing.assert_close(2 * model.energy(x, level), left.square().sum((-2, -1)))
    step = x - model(x, level)
    for _ in range(3):
        along, size = image(2, 6, 7), 1e-6
        ends = [model.energy(x + sign * size * along, level) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * size)
        torch.testing.assert_close(
            (step.conj() * along).real.sum((-2, -1)), slope, rtol=1e-5, atol=1e-7
        )


def test_its_jacobian_is_symmetric() -> None:
    jacobian = dense_jacobian(trained().at(levels(image(1, 4, 5))), image(1, 4, 5))
    torch.testing.assert_close(jacobian, jacobian.mT, rtol=1e-7, atol=1e-9)


def test_it_commutes_with_every_complex_number() -> None:
    model, x = trained(), image(2, 6, 7)
    factor = 3e-3 * (2 - 1j)
    told = model(factor * x, abs(factor) * levels(x)) / factor
    torch.testing.assert_close(told, model(x, levels(x)))
    torch.testing.assert_close(model.energy(1j * x, levels(x)), model.energy(x, levels(x)))


def test_gradients_flow_where_they_are_wanted() -> None:
    """Into weights and image with a graph, equal values without one, and nothing left behind."""
    model, x = trained(), image(1, 6, 7).requires_grad_()
    with torch.no_grad():
        plain = model(x.detach())
    assert not plain.requires_grad
    assert torch.equal(model(x.detach()), plain) and model(x.detach()).requires_grad
    model(x).abs().square().sum().backward()
    assert x.grad is not None and all(p.grad is not None for p in model.parameters())
    assert torch.autograd.gradcheck(
        lambda v: model(v, levels(v)), (image(1, 3, 4).requires_grad_(),)
    )


def test_de_grad_goes_down_the_energy_that_it_belongs_to(measure) -> None:
    """Plain steps of a small size lower 1/2 ||A x - y||^2 + weight g(x)."""
    data = measure(2, size=(8, 9))
    model = create("de-grad", denoiser=GradientStep.Options(network=SMALL), step=0.02, weight=0.5)
    model = model.double()
    model.denoiser.load_state_dict(trained().state_dict())
    f = model.fixed_point_map(data.kspace, data.A)
    x, found = f.projection, []
    with torch.no_grad():
        for _ in range(6):
            misfit = (data.A(x) - data.kspace).abs().square().sum((-3, -2, -1)) / 2
            turned = f.phase.conj() * x
            found.append(misfit + 0.5 * model.denoiser.energy(turned))
            x = f(x)
    values = torch.stack(found)
    assert isinstance(data.A, CartesianOperator) and bool((values[1:] < values[:-1]).all())


def test_it_is_a_denoiser_by_name_that_can_be_told() -> None:
    model = DENOISERS.make("gradient-step")
    assert isinstance(model, Denoiser) and model.lipschitz is None
    x = image(1, 4, 4)
    model = trained()
    told = at_level(model, 3 * levels(x))
    assert (told(x) - model(x, levels(x))).abs().max() > 1e-6
