"""The weight of DE-Grad follows noise and acceleration of each sample, and learns how."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import JacobianFree
from deqlab.networks import DemodulatedUNet, DnCNN
from deqlab.operators import CartesianOperator, LinearOperator, NUFFTOperator
from deqlab.operators.gridding import compensation
from deqlab.recon import METHODS, create
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad
from deqlab.recon.deq.measured_rules import measure as measured
from deqlab.signal.sampling.noise_level import noise_level

SMALL = DnCNN.Options(depth=2, width=4)


def build(**chosen) -> MeasuredDEGrad:
    torch.manual_seed(1)
    model = MeasuredDEGrad(denoiser=SMALL, **chosen).double()
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def noise_only(levels: list[float], masks: torch.Tensor) -> tuple[torch.Tensor, CartesianOperator]:
    """k-space whose A^H y has the maximum 1 about the centre, and noise of known levels outside."""
    A = CartesianOperator(masks[:, None, None], None)
    shape = (len(levels), 1, 64, masks.shape[-1])
    noise = torch.randn(*shape, 2, dtype=torch.float64)
    kspace = torch.view_as_complex(noise) * torch.tensor(levels)[:, None, None, None]
    y, x = torch.meshgrid(torch.arange(64) - 32, torch.arange(shape[-1]) - 32, indexing="ij")
    kspace = kspace + 10 * torch.exp(-(y**2 + x**2) / 8.0)
    kspace = kspace * A.mask
    peak = A.H(kspace).abs().amax((-2, -1))
    return kspace / peak[:, None, None, None], A


def weight(model: MeasuredDEGrad, kspace: torch.Tensor, A: CartesianOperator) -> torch.Tensor:
    """That of the map, real (batch, 1, 1)."""
    return model.fixed_point_map(kspace, A).weight.detach()


def lines(every: int) -> torch.Tensor:
    return torch.arange(64) % every == 0


def test_it_is_de_grad_where_the_rule_has_no_powers(measure) -> None:
    """At any noise and any acceleration; and so are the gradients of what both have."""
    data, model = measure(3, size=(12, 11)), build(weight=0.7)
    other = create("de-grad", denoiser=SMALL, weight=0.7).double()
    other.tolerance, other.max_evaluations = model.tolerance, model.max_evaluations
    other.load_state_dict(model.state_dict(), strict=False)
    x = torch.randn(3, 12, 11, dtype=torch.complex128)
    for kind in ("fixed_point_map", "iterated_map"):
        mine, theirs = (getattr(m, kind)(data.kspace, data.A)(x) for m in (model, other))
        assert_close(mine, theirs)
    assert_close(model(data.kspace, data.A), other(data.kspace, data.A))


def test_the_weight_follows_noise_and_acceleration() -> None:
    levels, masks = [0.02, 0.08], torch.stack([lines(2), lines(4)])
    kspace, A = noise_only(levels, masks)
    model = build(weight=0.3, powers=(0.5, -0.25), strength=2.0)
    found = weight(model, kspace, A)
    assert found.shape == (2, 1, 1)
    for member, acceleration in ((0, 2), (1, 4)):
        # max |A^H y| is 1 here
        sigma = float(noise_level(kspace, A.mask)[member])
        right = 2 * 0.3 * (sigma / 0.01) ** 0.5 * (acceleration / 4) ** -0.25
        assert float(found[member]) == pytest.approx(right, rel=1e-5)
    # Whatever the scanner's units.
    assert_close(weight(model, 1e6 * kspace, A), found)


def test_noise_outside_of_what_is_believed_counts_as_its_limit() -> None:
    kspace, A = noise_only([0.0, 5.0], lines(2)[None].expand(2, -1))
    found = weight(build(weight=1.0, powers=(1.0, 0.0)), kspace, A)
    assert float(found[0]) == pytest.approx(0.1) and float(found[1]) == pytest.approx(10)
    empty = weight(build(powers=(1.0, 1.0)), 0 * kspace, A)
    assert bool(torch.isfinite(empty).all())


def test_samples_keep_their_weights_when_others_leave(measure) -> None:
    data = measure(3, coils=1, size=(32, 31))
    # Smooth images, so that there is little but noise far out, and a level for each.
    smooth = torch.exp(-((torch.arange(32) - 16)[:, None] ** 2 + (torch.arange(31) - 15) ** 2) / 40)
    levels = torch.tensor([0.01, 0.03, 0.1])[:, None, None, None]
    noise = levels * torch.randn_like(data.kspace) * data.A.mask
    data.kspace = data.A(smooth.to(torch.complex128).expand(3, -1, -1)) + noise
    model = build(weight=1.0, powers=(0.3, 0.3))
    x = torch.randn(3, 32, 31, dtype=torch.complex128)
    for kind in ("fixed_point_map", "iterated_map"):
        f = getattr(model, kind)(data.kspace, data.A)
        assert len(set(f.weight.flatten().tolist())) == 3
        index = torch.tensor([2, 0])
        assert_close(f.select(index)(x[index]), f(x)[index])
        assert_close(f.select(index).select(torch.tensor([1]))(x[:1]), f(x)[:1])
    together = model.solve(data.kspace, data.A, tolerance=3e-3, max_evaluations=200)
    assert bool(together.converged.all())
    for member in range(3):
        own = data.member(member)
        alone = model.solve(own.kspace, own.A, tolerance=3e-3, max_evaluations=200)
        assert_close(alone.value[0], together.value[member], rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_rule(measure) -> None:
    data, model = measure(2, size=(12, 11)), build(powers=(0.1, 0.1))
    model.gradient = JacobianFree()
    model(data.kspace, data.A).abs().square().sum().backward()
    for parameter in (model.powers, model.log_weight, model.log_step):
        assert parameter.grad is not None
    assert model.powers.grad.abs().min() > 0 and model.log_weight.grad.abs() > 0
    rule = {"weight", "of noise", "of acceleration"}
    assert set(model.scalars()) == {"step"} | rule | {
        "level",
        "level of noise",
        "level of acceleration",
    }


def test_a_denoiser_is_told_of_a_level_that_follows_them_too() -> None:
    """Each sample of its own, also when others leave; and the rule learns from what it does."""
    levels, masks = [0.02, 0.08], torch.stack([lines(2), lines(4)])
    kspace, A = noise_only(levels, masks)
    chosen = DemodulatedUNet.Options(widths=(3, 4), wide=())
    model = MeasuredDEGrad(denoiser=chosen, strength=1.5, level=0.04, level_powers=(0.5, -0.25))
    model = model.double()
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    f = model.fixed_point_map(kspace, A)
    for member, acceleration in ((0, 2), (1, 4)):
        sigma = float(noise_level(kspace, A.mask)[member])
        right = 1.5 * 0.04 * (sigma / 0.01) ** 0.5 * (acceleration / 4) ** -0.25
        assert float(f.denoiser.level[member].detach()) == pytest.approx(right, rel=1e-5)
    x, index = torch.randn(2, 64, 64, dtype=torch.complex128), torch.tensor([1])
    assert_close(f.select(index)(x[index]), f(x)[index])
    model.gradient = JacobianFree()
    model(kspace, A).abs().square().sum().backward()
    assert model.level_powers.grad.abs().min() > 0 and model.log_level.grad.abs() > 0


def on_the_grid_off_the_grid(lines: int) -> tuple[CartesianOperator, NUFFTOperator]:
    """The same samples of a 12x12 image by both operators: every second line, or so many."""
    mask = torch.zeros(1, 1, 1, 12, dtype=torch.bool)
    mask[..., torch.arange(12)[:: 12 // lines]] = True
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    chosen = mask.expand(1, 1, 12, 12).flatten()
    positions = (torch.stack((rows, columns), -1).reshape(-1, 2)[chosen] - 6) / 12
    weights = torch.ones(len(positions), dtype=torch.float64)
    A = NUFFTOperator(positions.double(), (12, 12), tolerance=1e-12, weights=weights)
    return CartesianOperator(mask, None), A


@torch.no_grad()
@pytest.mark.parametrize("lines", [6, 3])
def test_off_the_grid_the_rules_say_what_they_say_on_it(lines: int) -> None:
    torch.manual_seed(0)
    on, off = on_the_grid_off_the_grid(lines)
    noise = 0.05 * torch.randn(1, 1, 12, 12, dtype=torch.complex128)
    image = torch.ones(1, 12, 12, dtype=torch.complex128)
    kspace = on.mask * (on(image) + noise)
    samples = kspace[on.mask.expand_as(kspace)].reshape(1, 1, -1)
    found = measured(samples, off, off.H(samples))
    wanted = measured(kspace, on, on.H(kspace))
    torch.testing.assert_close(found.peak, wanted.peak)
    torch.testing.assert_close(found.acceleration, wanted.acceleration)
    # other samples are the outermost: on a grid those of its corners
    assert found.noise.exp() == pytest.approx(wanted.noise.exp().item(), rel=0.3)


@torch.no_grad()
def test_off_the_grid_it_weighs_samples_that_have_no_weights() -> None:
    """An equilibrium for radial samples, in any units, with density weights or without."""
    torch.manual_seed(0)
    angle = torch.arange(8) * torch.pi / 8
    radius = torch.arange(-12, 12) / 24
    positions = torch.stack((angle.sin(), angle.cos()), -1)[:, None] * radius[:, None]
    A = NUFFTOperator(positions.reshape(-1, 2).double(), (12, 12))
    image = torch.zeros(1, 12, 12, dtype=torch.complex64)
    image[:, 3:9, 4:8] = 1
    model = METHODS.make("de-grad-measured", denoiser=SMALL)
    kspace = A(image)
    weighted = A.weighted(compensation(A))
    found = model.run(kspace, A).image
    again = model.run(weighted.weigh(kspace), weighted).image
    torch.testing.assert_close(found, again)
    torch.testing.assert_close(model.run(1e4 * kspace, A).image, 1e4 * found, rtol=1e-3, atol=10)
    assert (found - image).norm() < 0.6 * image.norm()


class Same(LinearOperator):
    """The identity."""

    def _forward(self, image: torch.Tensor) -> torch.Tensor:
        return image

    _adjoint = _forward


def test_what_measures_no_kspace_is_refused() -> None:
    model = METHODS.make("de-grad-measured", denoiser=SMALL)
    with pytest.raises(InputError, match="an operator that measures k-space needed"):
        model.run(torch.randn(1, 6, 6, dtype=torch.complex64), Same())
