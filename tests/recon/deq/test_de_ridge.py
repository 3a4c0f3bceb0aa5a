"""What DE-Ridge says of itself: it descends an energy whose critical points are its equilibria, and
where that is strongly convex it finds the only one from anywhere.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium.measure import dense_jacobian
from deqlab.networks import Ridge
from deqlab.recon import METHODS
from deqlab.recon.deq.de_ridge import LONGEST, DERidge
from deqlab.solvers import Picard
from deqlab.theory import contraction
from deqlab.theory.contraction import Curvature, Spectrum

KINDS = pytest.mark.parametrize("kind", ["fixed_point_map", "iterated_map"])


def build(weight: float = 0.7, step: float = 1.0, level: float = 0.3, **ridge) -> DERidge:
    """A model with random weights, as its promises let them be."""
    chosen = {"filters": (3, 4), "kernel": 5, "pieces": 6, "top": 4.0, **ridge}
    denoiser = Ridge.Options(**chosen)
    model = METHODS.make(
        "de-ridge", denoiser=denoiser, weight=weight, step=step, level=level, powers=(0, 0)
    )
    model = model.double()
    for name, parameter in model.denoiser.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "scales" in name else 3.0)
    model.after_step()
    return model


def image(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.complex128)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b>, real (batch,)."""
    return (a.conj() * b).real.sum((-2, -1))


def test_its_fixed_points_are_the_critical_points_of_its_energy(measure) -> None:
    """x - f(x) is eta times the gradient of F, by differences."""
    data, model, h = measure(2, size=(9, 10)), build(), 1e-5
    f = model.fixed_point_map(data.kspace, data.A)
    x, d = image(2, 9, 10), image(2, 9, 10)
    higher, lower = (model.energy(x + s * h * d, data.kspace, data.A) for s in (1, -1))
    assert_close(inner(f.gradient(x), d), (higher - lower) / (2 * h), rtol=1e-6, atol=1e-6)
    assert_close(x - f(x), f.step * f.gradient(x))
    assert_close(model.iterated_map(data.kspace, data.A).gradient(x), f.gradient(x))


@KINDS
@pytest.mark.parametrize("step", [0.3, 1.0, LONGEST - 1e-3])
@pytest.mark.parametrize("weight", [0.05, 4.0])
def test_the_energy_decreases_in_every_step(measure, kind: str, step: float, weight: float) -> None:
    """From anywhere, whatever the weights, by at least what the docstring says."""
    data, model = measure(3, size=(12, 11)), build(weight, step, weak_convexity=1.0)
    f, x = getattr(model, kind)(data.kspace, data.A), 3 * image(3, 12, 11)
    energy = model.energy(x, data.kspace, data.A)
    for _ in range(30):
        new = f(x)
        curvature = step / f.step
        # P^-1 (x - f(x)) is eta times the gradient.
        fall = curvature * (1 / step - 0.5) * inner(x - new, f.step * f.gradient(x))
        lower = model.energy(new, data.kspace, data.A)
        assert bool((lower <= energy - fall + 1e-9 * energy).all())
        assert bool((lower >= 0).all()) and bool((fall > 0).all())
        x, energy = new, lower


def test_the_residual_of_picard_iteration_vanishes(measure) -> None:
    """Also where the energy is not convex."""
    data, model = measure(2, size=(12, 11)), build(weak_convexity=1.0)
    model.solver = Picard()
    solution = model.solve(data.kspace, data.A, tolerance=1e-5, max_evaluations=3000)
    assert bool(solution.converged.all())


def two_starts(model: DERidge, data) -> tuple[Tensor, Tensor]:
    starts = (data.A.H(data.kspace), 3 * image(2, 12, 11))
    found = [model.solve(data.kspace, data.A, 1e-10, 3000, x0=start) for start in starts]
    assert all(bool(solution.converged.all()) for solution in found)
    return found[0].value, found[1].value


def test_a_convex_energy_has_one_equilibrium_reached_from_anywhere(measure) -> None:
    """Also where the profiles leave much free; the floor is what makes it strongly convex."""
    data = measure(2, coils=1, size=(12, 11))
    model = build(weak_convexity=0.0, floor=0.05)
    torch.nn.init.zeros_(model.denoiser.profiles[0].slopes)
    one, other = two_starts(model, data)
    assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_without_strong_convexity_an_equilibrium_need_not_be_the_only_one(measure) -> None:
    """But where E is convex its value is the same."""
    data, model = measure(2, coils=1, size=(12, 11)), build(weak_convexity=0.0)
    with torch.no_grad():
        for spline in model.denoiser.profiles:
            spline.slopes.zero_()
    one, other = two_starts(model, data)
    assert (one - other).norm() > 0.1 * one.norm()
    one, other = (model.energy(x, data.kspace, data.A) for x in (one, other))
    assert_close(one, other, rtol=1e-8, atol=1e-12)


def test_no_jacobian_exceeds_its_bound(measure) -> None:
    """That of the plain map, undersampled; with a floor and without weak convexity it is below
    1.
    """
    for floor, weak_convexity in ((0.2, 0.0), (0.0, 0.0), (0.1, 0.8)):
        data = measure(1, size=(5, 6))
        model = build(floor=floor, weak_convexity=weak_convexity)
        f = model.fixed_point_map(data.kspace, data.A)
        known, weight, step = Curvature.of(model.denoiser), f.weight.item(), f.step.item()
        bound = contraction.de_ridge(known, Spectrum(), step, weight)
        assert (bound < 1) == (floor == 0.2)
        for size in (0.05, 1.0):
            J = dense_jacobian(f, size * image(2, 5, 6))
            assert float(torch.linalg.matrix_norm(J, ord=2).max()) <= bound + 1e-9


@KINDS
def test_a_global_phase_of_kspace_turns_the_image(measure, kind: str) -> None:
    data, model = measure(2, size=(12, 11)), build()
    turn, x = torch.polar(*torch.tensor([1.0, 0.7]).double()), image(2, 12, 11)
    plain = getattr(model, kind)(data.kspace, data.A)(x)
    turned = getattr(model, kind)(turn * data.kspace, data.A)(turn * x)
    assert_close(turned, turn * plain, rtol=1e-9, atol=1e-9)


def test_no_update_can_leave_the_steps_that_descend() -> None:
    model = build()
    model.log_step.data.fill_(3.0)
    model.after_step()
    assert model.step.item() == pytest.approx(LONGEST) and LONGEST < 2
    model.log_step.data.fill_(math.log(0.4))
    model.after_step()
    assert model.step.item() == pytest.approx(0.4)
    for wrong in (0.0, 2.0, math.nan):
        with pytest.raises(InputError, match="step"):
            METHODS.make("de-ridge", step=wrong)


def test_only_a_ridge_has_an_energy() -> None:
    with pytest.raises(InputError, match="denoiser: DnCNN given, a ridge needed"):
        METHODS.make("de-ridge", denoiser="dncnn")


def test_training_reaches_every_weight(measure) -> None:
    data, model = measure(2, size=(24, 23)), build()
    model(data.kspace, data.A).abs().square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
