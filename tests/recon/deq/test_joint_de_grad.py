"""DE-Grad whose state is an image and its phase map: what is at rest is what the formulas say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import JacobianFree
from deqlab.networks import ToldUNet
from deqlab.networks.turned import Turned, unit_phase
from deqlab.recon import METHODS
from deqlab.recon.deq.joint_de_grad import JointDEGrad
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad
from deqlab.solvers.flat import flatten

EXACT = {"tolerance": 1e-10, "max_evaluations": 600}
SIZE = (12, 11)


@pytest.fixture
def data(measure):
    """Two smooth objects with a phase that varies, half of whose lines are measured."""
    found = measure(2, 2, SIZE)
    y, x = torch.meshgrid(torch.arange(12) - 6, torch.arange(11) - 5, indexing="ij")
    size = torch.exp(-(y**2 + x**2) / 20.0).double()
    slopes = torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None, None]
    found.kspace = found.A(torch.polar(size.expand(2, -1, -1), slopes * (x + 0.5 * y)))
    return found


def build(denoiser, **chosen) -> JointDEGrad:
    chosen = {"weight": 0.5, "blur": 1.5, "edge": 0.2, **chosen}
    return JointDEGrad(denoiser, **chosen, **EXACT).double()


def pair(*size: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(*size, dtype=torch.complex128) for _ in range(2))


@torch.no_grad()
def test_one_step_is_that_of_de_grad_at_the_phase_of_the_state(data, denoiser) -> None:
    """Then the map goes part of the way to the phase of the new image."""
    R = denoiser()
    f = build(R, rate=0.3).fixed_point_map(data.kspace, data.A)
    x, q = pair(2, *SIZE)
    plain = MeasuredDEGrad(R, weight=0.5).double().iterated_map(data.kspace, data.A)
    g = replace(plain, denoiser=Turned(R, f.phase.conj() * unit_phase(q)))
    new, phase = f((x, q))
    assert_close(new, g(x))
    assert_close(g.denoised(x), unit_phase(q) * R(unit_phase(q).conj() * x))
    assert_close(phase, 0.7 * q + 0.3 * f.unit * f.smoothing(new))


@torch.no_grad()
def test_what_is_at_rest_is_an_equilibrium_at_its_own_phase(data, denoiser) -> None:
    model = build(denoiser())
    solution = model.solve(data.kspace, data.A)
    assert bool(solution.converged.all())
    f, x = model.fixed_point_map(data.kspace, data.A), solution.value
    gradient = data.A.normal(x) - f.projection + f.weight * (x - f.denoised(x))
    assert float(gradient.abs().max()) < 1e-7 * float(x.abs().max())
    state = f.state(x)
    assert torch.equal(f.image(state), x)
    assert_close(flatten(f(state)), flatten(state), rtol=1e-7, atol=1e-8)
    one = f.as_one_image()
    assert_close(one(x), x, rtol=1e-7, atol=1e-8)


@torch.no_grad()
def test_the_one_image_has_the_iterates_of_the_pair_where_the_rate_is_one(data, denoiser) -> None:
    R = denoiser()
    for rate, same in ((1.0, True), (0.5, False)):
        f = build(R, rate=rate).fixed_point_map(data.kspace, data.A)
        one, x = f.as_one_image(), torch.randn(2, *SIZE, dtype=torch.complex128)
        state = f.state(x)
        for _ in range(3):
            state, x = f(state), one(x)
        assert torch.allclose(f.image(state), x, rtol=1e-9, atol=1e-9) == same


@torch.no_grad()
def test_a_denoiser_that_knows_no_phase_needs_no_map(data, gain) -> None:
    joint = build(gain(0.6))
    plain = MeasuredDEGrad(gain(0.6), weight=0.5, **EXACT).double()
    solutions = [model.solve(data.kspace, data.A) for model in (joint, plain)]
    assert all(bool(solution.converged.all()) for solution in solutions)
    assert_close(solutions[0].value, solutions[1].value, rtol=1e-6, atol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("factor", [1e-5 * (0.6 + 0.8j), -3e4j])
def test_the_pair_turns_and_scales_with_kspace(data, denoiser, factor: complex) -> None:
    """With a denoiser that commutes with no phase."""
    model, (x, q) = build(denoiser()), pair(2, *SIZE)
    f = model.fixed_point_map(data.kspace, data.A)
    g = model.fixed_point_map(factor * data.kspace, data.A)
    found = g((factor * x, factor * q))
    for mine, theirs in zip(found, f((x, q))):
        assert_close(mine / factor, theirs)


@torch.no_grad()
def test_the_map_can_be_restricted_to_some_samples(data) -> None:
    """Those of a denoiser that is told of each sample's noise too."""
    model = build(ToldUNet(widths=(3, 4)), powers=(0.3, 0.3))
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    f, state = model.fixed_point_map(data.kspace, data.A), pair(2, *SIZE)
    index = torch.tensor([1])
    few = tuple(part[index] for part in state)
    assert_close(flatten(f.select(index)(few)), flatten(f(state))[index])
    one = f.as_one_image()
    assert_close(one.select(index)(few[0]), one(state[0])[index])


def test_gradients_are_those_of_the_equilibrium(data, denoiser) -> None:
    """With respect to the weight, by differences; and they reach the denoiser."""
    model = build(denoiser())

    def loss() -> Tensor:
        return model(data.kspace, data.A).abs().square().sum()

    loss().backward()
    right, step = float(model.log_weight.grad), 1e-4
    values = []
    for change in (step, -2 * step):
        with torch.no_grad():
            model.log_weight += change
            values.append(float(loss()))
    assert right == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-3)
    model.zero_grad()
    model.gradient = JacobianFree()
    loss().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in model.denoiser.parameters())


def test_options_are_checked() -> None:
    model = METHODS.make("de-grad-joint", blur=3.0, rate=1)
    assert (model.options.blur, model.options.rate) == (3.0, 1)
    for wrong in ({"rate": 0}, {"rate": 1.5}, {"blur": 0}, {"edge": -1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            METHODS.make("de-grad-joint", **wrong)
