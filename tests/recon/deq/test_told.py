"""DE-Prox and DE-ADMM whose denoiser is told of a level that follows the measurement."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import JacobianFree
from deqlab.networks import DemodulatedUNet
from deqlab.operators import NUFFTOperator
from deqlab.recon import create
from deqlab.recon.base import Budget
from deqlab.recon.deq import measured_rules
from deqlab.recon.deq.de_prox import DEProx

NAMES = ("de-prox", "de-admm")
SMALL = DemodulatedUNet.Options(widths=(4, 6), wide=(2.0,))


def build(name: str, **chosen):
    torch.manual_seed(2)
    model = create(name, denoiser=SMALL, **chosen).double()
    for parameter in model.denoiser.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model.requires_grad_(False)


@pytest.mark.parametrize("name", NAMES)
def test_the_denoiser_is_told_what_the_rule_says(measure, name: str) -> None:
    """strength level (noise / 0.01)^b (acceleration / 4)^c peak, sample by sample."""
    data = measure(2, 2, (12, 11))
    model = build(name, level=0.03, level_powers=(0.5, -0.25), strength=1.5)
    projection = data.A.H(data.kspace)
    seen = measured_rules.measure(data.kspace, data.A, projection)
    level = 1.5 * 0.03 * seen.peak * (0.5 * seen.noise - 0.25 * seen.acceleration).exp()
    f = model.fixed_point_map(data.kspace, data.A)
    assert_close(f.denoiser.level, level)
    x = torch.randn(2, 12, 11, dtype=torch.complex128)
    right = f.phase * model.denoiser(f.phase.conj() * x, level)
    assert_close(f.denoised(x), right)
    # Of one of two samples, the map is told of its own level.
    one = torch.tensor([1])
    assert_close(f.select(one).denoised(x[1:]), right[1:])


@pytest.mark.parametrize("name", NAMES)
def test_units_of_kspace_turn_and_scale_the_equilibrium(measure, name: str) -> None:
    data, model = measure(2, 2, (12, 11)), build(name, level=0.05)
    turn = 1e-5 * torch.exp(torch.tensor(0.7j))
    # A few evaluations: these weights are random ones, and nothing says that they come to rest.
    few = Budget(max_evaluations=6)
    found = model.run(data.kspace, data.A, few).image
    turned = model.run(turn * data.kspace, data.A, few).image
    assert_close(turned, turn * found, rtol=1e-5, atol=1e-12)


def test_the_rule_is_learned(measure) -> None:
    data, model = measure(2, 2, (12, 11)), build("de-prox", level=0.05).requires_grad_(True)
    model.gradient = JacobianFree()
    model(data.kspace, data.A).abs().sum().backward()
    assert model.log_level.grad.abs() > 0 and bool((model.level_powers.grad.abs() > 0).all())
    assert {"step", "level", "level of noise", "level of acceleration"} == set(model.scalars())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_nothing_is_as_before(measure, name: str) -> None:
    """No rule among its weights, any operator, and the denoiser itself in the map."""
    model = build(name)
    assert {n for n, _ in model.named_parameters() if "denoiser" not in n} == {"log_step"}
    A = NUFFTOperator(torch.rand(40, 2, dtype=torch.float64) - 0.5, (8, 8))
    kspace = torch.randn(1, 1, 40, dtype=torch.complex128)
    assert model.fixed_point_map(kspace, A).denoiser is model.denoiser
    told = build(name, level=0.05).fixed_point_map(kspace, A).denoiser
    assert told is not model.denoiser and told(A.H(kspace)).shape == (1, 8, 8)


def test_a_strength_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="strength: 2.0 given, 1 needed for a denoiser that is"):
        create("de-prox", strength=2.0)


def test_what_is_told_is_solved_longer_unless_somebody_says_otherwise() -> None:
    limits = [(m.tolerance, m.max_evaluations) for m in (build("de-prox"), build("de-admm"))]
    assert limits == [(1e-3, 50)] * 2
    told = build("de-prox", level=0.05)
    assert (told.tolerance, told.max_evaluations) == (3e-4, 100)
    chosen = DEProx(denoiser=SMALL, level=0.05, tolerance=0.1, max_evaluations=7)
    assert (chosen.tolerance, chosen.max_evaluations) == (0.1, 7)
