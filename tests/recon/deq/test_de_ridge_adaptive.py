"""DE-Ridge with strengths that follow the image: one energy, one loop and two, and what is measured
of the outer one.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import ImplicitGradient
from deqlab.equilibrium.measure import expansion, spectral_radius, worst_direction
from deqlab.networks import AdaptiveRidge
from deqlab.recon import METHODS
from deqlab.recon.deq.de_ridge import LONGEST
from deqlab.recon.deq.de_ridge_adaptive import DERidgeAdaptive, OuterMap
from deqlab.solvers import Picard

KINDS = pytest.mark.parametrize("kind", ["fixed_point_map", "iterated_map"])
SMALL = {"filters": (3, 4), "kernel": 5, "pieces": 6, "top": 4.0, "groups": 3}
PARTS = ("shares", "averages", "groups.0.log_scales", "depths")


def build(weight: float = 0.7, step: float = 1.0, level: float = 0.3, **ridge) -> DERidgeAdaptive:
    """A model with random weights and deep groups, as its promises let them be."""
    denoiser = AdaptiveRidge.Options(**{**SMALL, **ridge})
    model = METHODS.make(
        "de-ridge-adaptive", denoiser=denoiser, weight=weight, step=step, level=level, powers=(0, 0)
    )
    model = model.double()
    for name, parameter in model.denoiser.named_parameters():
        small = "scales" in name or "groups" in name
        torch.nn.init.normal_(parameter, std=0.1 if small else 3.0)
        if "depths" in name:
            torch.nn.init.constant_(parameter, 0.8)
    model.after_step()
    return model


def image(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.complex128)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b>, real (batch,)."""
    return (a.conj() * b).real.sum((-2, -1))


@KINDS
@pytest.mark.parametrize("step", [1.0, LONGEST - 1e-3])
def test_the_energy_decreases_in_every_step(measure, kind: str, step: float) -> None:
    """While strengths follow the image, and by at least what fixed ones promise."""
    data, model = measure(2, size=(12, 11)), build(2.0, step, 0.05, weak_convexity=1.0)
    f, x = getattr(model, kind)(data.kspace, data.A), 3 * image(2, 12, 11)
    energy = model.energy(x, data.kspace, data.A)
    for _ in range(10):
        new = f(x)
        fall = (step / f.step) * (1 / step - 0.5) * inner(x - new, f.step * f.gradient(x))
        lower = model.energy(new, data.kspace, data.A)
        assert bool((lower <= energy - fall + 1e-9 * energy).all())
        assert bool((lower >= 0).all()) and bool((fall > 0).all())
        x, energy = new, lower


@torch.no_grad()
def test_an_equilibrium_is_one_of_the_image_and_of_its_strengths(measure) -> None:
    """Of the one loop, of the inner problem at its own strengths, and of the outer loop."""
    data, model = measure(2, size=(12, 11)), build(level=0.03, floor=0.05)
    model.solver = Picard()
    solution = model.solve(data.kspace, data.A, tolerance=1e-7, max_evaluations=3000)
    assert bool(solution.converged.all())
    x = solution.value
    strengths = model.strengths(x, data.kspace, data.A)
    assert min(float(part.min()) for part in strengths) < 0.8
    frozen = model.frozen_map(x, data.kspace, data.A)
    assert_close(frozen(x), x, rtol=0, atol=1e-5)
    assert (frozen.gradient(2 * x) - model.iterated_map(data.kspace, data.A).gradient(2 * x)).norm()
    again = model.outer_map(data.kspace, data.A)(x)
    assert_close(again, x, rtol=0, atol=1e-3)
    for one, other in zip(strengths, model.strengths(again, data.kspace, data.A)):
        assert_close(one, other, rtol=0, atol=1e-2)


@torch.no_grad()
def test_the_outer_loop_descends_to_it_and_contracts_there(measure) -> None:
    """Its factor is below 1, as it is of a majorisation at a strict minimum."""
    data, model = measure(1, size=(9, 8)), build(level=0.1, floor=0.2, weak_convexity=0.0)
    outer = OuterMap(model, data.kspace, data.A, tolerance=1e-10, max_evaluations=1000)
    x = data.A.H(data.kspace)
    energy = model.energy(x, data.kspace, data.A)
    for _ in range(25):
        x = outer(x)
        lower = model.energy(x, data.kspace, data.A)
        assert bool((lower <= energy + 1e-9 * energy).all())
        energy = lower
    f = model.iterated_map(data.kspace, data.A)
    assert_close(f(x), x, rtol=0, atol=1e-6)
    radius = torch.full((1, 1, 1), 1e-3 * float(x.norm()), dtype=torch.float64)
    direction = worst_direction(outer, x, outer(x), radius, 8, image(1, 9, 8))
    factor = float(expansion(outer, x, outer(x), direction))
    assert 1e-3 < factor < 1
    assert float(spectral_radius(f, x, 60)) < 1


@KINDS
def test_a_complex_number_turns_and_scales_the_image(measure, kind: str) -> None:
    data, model = measure(2, size=(12, 11)), build()
    factor, x = 1e-5 * torch.exp(torch.tensor(0.7j)), image(2, 12, 11)
    plain = getattr(model, kind)(data.kspace, data.A)(x)
    turned = getattr(model, kind)(factor * data.kspace, data.A)(factor * x)
    assert_close(turned / factor, plain, rtol=1e-6, atol=1e-6)


def test_it_starts_as_de_ridge_bit_for_bit(measure) -> None:
    data = measure(2, size=(20, 17), dtype=torch.complex64)
    torch.manual_seed(3)
    plain = METHODS.make("de-ridge", denoiser={"name": "ridge", **without_groups()})
    model = METHODS.make("de-ridge-adaptive", denoiser={"name": "adaptive-ridge", **SMALL})
    model.denoiser.load_state_dict(model.denoiser.completed(plain.denoiser.state_dict()))
    with torch.no_grad():
        assert torch.equal(model(data.kspace, data.A), plain(data.kspace, data.A))


def without_groups() -> dict:
    return {name: value for name, value in SMALL.items() if name != "groups"}


def test_finished_samples_leave_a_solve_with_frozen_strengths(measure) -> None:
    data, model = measure(2, size=(12, 11)), build()
    x, index = image(2, 12, 11), torch.tensor([1])
    frozen = model.frozen_map(x, data.kspace, data.A)
    assert_close(frozen.select(index)(x[1:]), frozen(x)[1:])


def test_training_reaches_every_weight_as_differences_say(measure) -> None:
    """By implicit differentiation, strengths and all, in double precision."""
    data, model = measure(1, size=(8, 9)), build(floor=0.2, weak_convexity=0.3)
    model.tolerance, model.max_evaluations = 1e-11, 1000
    model.gradient = ImplicitGradient(tolerance=1e-11, max_evaluations=1000)
    target = image(1, 8, 9)

    def loss() -> Tensor:
        return (model(data.kspace, data.A) - target).abs().square().sum()

    loss().backward()
    h, found = 1e-6, dict(model.named_parameters())
    silent = [n for n, p in found.items() if p.grad is None or not p.grad.abs().max() > 1e-9]
    assert set(silent) <= {"log_step"}, "which moves no fixed point"
    for kind in (*PARTS, ""):
        # Each kind of a group's weights, then all others together.
        named = {n: p for n, p in found.items() if n not in silent}
        chosen = [p for n, p in named.items() if (kind in n if kind else "groups" not in n)]
        norm = torch.stack([p.grad.square().sum() for p in chosen]).sum().sqrt()
        values = []
        with torch.no_grad():
            for sign in (1, -1):
                for p in chosen:
                    p.add_(sign * h / norm * p.grad)
                values.append(float(loss()))
                for p in chosen:
                    p.sub_(sign * h / norm * p.grad)
        slope = (values[0] - values[1]) / (2 * h)
        assert slope == pytest.approx(float(norm), rel=1e-4, abs=1e-7), kind


def test_only_an_adaptive_ridge_has_strengths() -> None:
    with pytest.raises(InputError, match="denoiser: Ridge given, an adaptive ridge needed"):
        METHODS.make("de-ridge-adaptive", denoiser="ridge")
    with pytest.raises(InputError, match="denoiser: DnCNN given, a ridge needed"):
        METHODS.make("de-ridge-adaptive", denoiser="dncnn")
