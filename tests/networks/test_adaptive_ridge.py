"""The adaptive ridge has the energies, the bounds and the symmetries that its docstring states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium.measure import dense_jacobian
from deqlab.networks import DENOISERS, AdaptiveRidge, Ridge
from deqlab.networks.concave_groups import ConcaveGroups
from deqlab.networks.protocol import Denoiser, ExtendingDenoiser, ToldDenoiser

SMALL = {"filters": (3, 4), "kernel": 5, "pieces": 6, "top": 4.0}
LEVEL = torch.tensor([0.3, 0.8], dtype=torch.float64)[:, None, None]


def trained(**chosen) -> AdaptiveRidge:
    """One with random weights, as far out as its promises let them be."""
    model = AdaptiveRidge(**{**SMALL, "groups": 3, **chosen}).double()
    for name, parameter in model.named_parameters():
        small = "scales" in name or "groups" in name
        torch.nn.init.normal_(parameter, std=0.3 if small else 3.0)
        if "depths" in name:
            torch.nn.init.uniform_(parameter, 0.3, 1.5)
    model.after_step()
    return model


def image(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.complex128)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b>, real (batch,)."""
    return (a.conj() * b).real.sum((-2, -1))


def gradient_of(energy, x: Tensor) -> Tensor:
    """By automatic differentiation."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(energy(x).sum(), x)[0]


@pytest.mark.parametrize("size", [(16, 16), (13, 18), (3, 5), (1, 4)])
@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_both_gradients_are_those_of_their_energies(size: tuple[int, int], floor: float) -> None:
    """With fixed strengths, and with those that follow the image."""
    model, x, z = trained(floor=floor), image(2, *size), image(2, *size)
    frozen = model.frozen(z, LEVEL)
    assert_close(x - frozen(x), gradient_of(frozen.energy, x), rtol=1e-9, atol=1e-9)
    right = gradient_of(lambda x: model.energy(x, LEVEL), x)
    assert_close(model.gradient(x, LEVEL), right, rtol=1e-9, atol=1e-9)
    assert_close(model.frozen(x, LEVEL)(x), model(x, LEVEL))
    assert (frozen(x) - model(x, LEVEL)).norm() > 1e-4 * x.norm()


@pytest.mark.parametrize("size", [0.3, 2.0, 20.0])
def test_strengths_lie_within_their_limits_and_are_not_idle(size: float) -> None:
    model = trained(lower=0.2)
    with torch.no_grad():
        found = model.frozen(size * image(2, 20, 23), LEVEL).strengths
    assert len(found) == 2
    for strengths in found:
        assert strengths.min() >= 0.2 and strengths.max() <= 1
        assert strengths.max() - strengths.min() > 1e-3
    assert min(float(strengths.min()) for strengths in found) < 0.95


def test_the_frozen_energy_majorises_the_one_that_adapts() -> None:
    """E_z(x) - E_z(z) >= E(x) - E(z): what makes every step of the one a step of the other."""
    model, z = trained(), image(2, 12, 9)
    frozen, below = model.frozen(z, LEVEL), model.energy(z, LEVEL)
    gaps = []
    for size in (1e-2, 0.3, 3.0, 30.0):
        x = z + size * image(2, 12, 9)
        gap = frozen.energy(x) - frozen.energy(z) - (model.energy(x, LEVEL) - below)
        assert bool((gap >= -1e-9 * frozen.energy(x)).all())
        gaps.append(gap)
    assert bool((gaps[-1] > 0.1).all()) and bool((gaps[0] < 1e-3 * gaps[-1]).all())
    assert bool((model.energy(x, LEVEL) >= 0).all())


@pytest.mark.parametrize("weak_convexity, floor", [(0.0, 0.0), (0.7, 0.2)])
def test_hessians_are_symmetric_and_within_their_bounds(
    weak_convexity: float, floor: float
) -> None:
    """For fixed strengths those of a ridge; else lower by what the concave costs take."""
    model = trained(weak_convexity=weak_convexity, floor=floor, lower=0.05)
    one, lowest = LEVEL[:1], []
    deepest = max(float(group.depths.detach().max()) for group in model.masks)
    plain = floor - (1 - floor) * weak_convexity
    assert model.inner_curvature == pytest.approx((plain, 1.0))
    assert model.curvature == pytest.approx((plain - (1 - floor) * 2 / torch.e * deepest, 1.0))
    assert model.lipschitz >= max(1.0, -model.curvature[0])
    for size in (0.2, 0.5, 1.0, 2.0):
        x = size * image(1, 5, 6)
        for function, low in (
            (model.frozen(image(1, 5, 6), one), plain),
            (model.at(one), model.curvature[0]),
        ):
            H = dense_jacobian(lambda x, f=function: x - f(x), x)[0]
            assert_close(H, H.mT, rtol=1e-9, atol=1e-9)
            values = torch.linalg.eigvalsh(H)
            assert low - 1e-9 <= values[0] and values[-1] <= 1 + 1e-9
        lowest.append(float(values[0]))
    assert weak_convexity or min(lowest) < -1e-3, "adaptivity costs convexity"


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j, 1e-25j])
def test_it_commutes_with_every_complex_number(factor: complex) -> None:
    model, x = trained(), image(2, 9, 12)
    turned = model(factor * x, abs(factor) * LEVEL)
    assert (model(x, LEVEL) - x).norm() > 0.02 * x.norm()
    assert_close(turned / factor, model(x, LEVEL))
    found = model.frozen(factor * x, abs(factor) * LEVEL).strengths
    for one, other in zip(found, model.frozen(x, LEVEL).strengths):
        assert_close(one, other)
    single, x, level = model.float(), x.to(torch.complex64), LEVEL.float()
    turned = single(factor * x, abs(factor) * level) / factor
    assert_close(turned, single(x, level), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(20, 33), (2, 2)])
def test_it_starts_as_a_ridge_bit_for_bit(size: tuple[int, int]) -> None:
    plain, model = Ridge(**SMALL), AdaptiveRidge(**SMALL)
    for parameter in plain.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    plain.after_step()
    model.load_state_dict(model.completed(plain.state_dict()))
    x, level = image(2, *size).to(torch.complex64), LEVEL.float()
    assert torch.equal(model(x, level), plain(x, level))
    assert_close(model.energy(x, level), plain.energy(x, level))
    assert model.curvature == plain.curvature
    # Its own weights are left as they are.
    own = trained().state_dict()
    assert model.completed(own) is own


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(), image(2, 8, 10)
    assert_close(model(x, LEVEL)[1:], model(x[1:], LEVEL[1:]))
    assert_close(model.energy(x, LEVEL)[1:], model.energy(x[1:], LEVEL[1:]))
    frozen, index = model.frozen(x, LEVEL), torch.tensor([1])
    assert_close(frozen.select(index)(x[1:]), frozen(x)[1:])


def test_every_weight_takes_part_and_slopes_are_finite_where_there_is_nothing() -> None:
    model = trained()
    x = image(1, 24, 24)
    x[0, :, 12:] = 0
    x.requires_grad_()
    model(x, LEVEL[:1]).abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
    assert all(bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert not model(torch.zeros(1, 9, 9, dtype=torch.complex128)).any()


def test_from_its_start_the_depths_learn() -> None:
    """All else of the strengths has no say before there is a depth."""
    model = AdaptiveRidge(**SMALL)
    model(image(1, 20, 24).to(torch.complex64), LEVEL[:1].float()).abs().sum().backward()
    assert all(bool((group.depths.grad != 0).all()) for group in model.masks)


def test_every_cost_is_shared_out_whole() -> None:
    """At borders too; with scales that are tiny each strength is one less the depth."""
    group = ConcaveGroups(3, 4, 2, 0.25, 4).double()
    for parameter in group.parameters():
        torch.nn.init.normal_(parameter)
    group.depths.data.fill_(0.75)
    costs = torch.rand(2, 3 * 16, 3, 2).double() + 0.1
    strengths = group.strengths(costs, torch.tensor(1e-9).double())
    assert_close(strengths, torch.full_like(costs, 0.25))
    assert_close(group.total(costs, torch.tensor(1e9).double()), costs.sum((1, 2, 3)))


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("adaptive-ridge", **SMALL, groups=3, reach=1, lower=0.3)
    assert isinstance(model, Denoiser) and isinstance(model, ToldDenoiser)
    assert isinstance(model, ExtendingDenoiser) and not isinstance(Ridge(**SMALL), AdaptiveRidge)
    assert model.lipschitz == pytest.approx(max(1, 0.5 + 2 / torch.e * 0.7))
    card = {"name": "adaptive-ridge", "filters": [3, 4], "groups": 3, "reach": 1, "lower": 0.3}
    assert card.items() <= DENOISERS.to_json(model).items()
    whole = sum(p.numel() for p in AdaptiveRidge().groups.parameters())
    assert whole < 3000
    for wrong in ({"groups": 0}, {"reach": -1}, {"lower": 0.0}, {"lower": 1.5}, {"kernel": 6}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("adaptive-ridge", **wrong)
