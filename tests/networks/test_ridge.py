"""The ridge has the energy, the bounds and the symmetries that its docstring states."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium.measure import dense_jacobian
from deqlab.networks import DENOISERS, Ridge
from deqlab.networks.folded_filters import FOLD, folded, folded_back, polyphase
from deqlab.networks.protocol import Denoiser, ToldDenoiser
from deqlab.networks.ridge import apart, doubled, halved, pyramid_norm, together

SMALL = {"filters": (3, 4), "kernel": 5, "pieces": 6, "top": 4.0}
LEVEL = torch.tensor([0.3, 0.8], dtype=torch.float64)[:, None, None]


def trained(**chosen) -> Ridge:
    """A ridge with random weights, as far out as its promises let them be."""
    model = Ridge(**{**SMALL, **chosen}).double()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "scales" in name else 3.0)
    model.after_step()
    return model


def image(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.complex128)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Re <a, b>, real (batch,)."""
    return (a.conj() * b).real.sum((-2, -1))


@pytest.mark.parametrize("size", [(16, 16), (20, 33), (13, 18), (3, 5), (2, 2), (1, 4)])
@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_the_gradient_is_that_of_the_energy(size: tuple[int, int], floor: float) -> None:
    model, x, d = trained(floor=floor), image(2, *size), image(2, *size)
    h = 1e-5
    slope = (model.energy(x + h * d, LEVEL) - model.energy(x - h * d, LEVEL)) / (2 * h)
    assert_close(inner(model.gradient(x, LEVEL), d), slope, rtol=1e-6, atol=1e-6)
    assert_close(model(x, LEVEL), x - model.gradient(x, LEVEL))


@pytest.mark.parametrize("weak_convexity, floor", [(0.0, 0.0), (0.7, 0.0), (0.7, 0.2), (0.0, 0.1)])
def test_the_hessian_is_symmetric_and_within_its_bounds(
    weak_convexity: float, floor: float
) -> None:
    model, ends = trained(weak_convexity=weak_convexity, floor=floor), []
    for _ in range(4):
        H = dense_jacobian(lambda x: model.gradient(x, LEVEL[:1]), image(1, 5, 6))[0]
        assert_close(H, H.mT, rtol=1e-9, atol=1e-9)
        values = torch.linalg.eigvalsh(H)
        ends.append((float(values[0]), float(values[-1])))
    low, high = model.curvature
    assert low == pytest.approx(floor - (1 - floor) * weak_convexity) and high == 1
    assert min(end for end, _ in ends) >= low - 1e-9
    assert max(end for _, end in ends) <= high + 1e-9
    # Not idle: random profiles are seldom as steep as they may be, but somewhat.
    assert weak_convexity == 0 or min(end for end, _ in ends) < floor - 0.02
    assert max(end for _, end in ends) > floor + 0.1


def test_it_is_convex_along_a_line_up_to_rho() -> None:
    """E + rho / 2 ||x||^2 lies below its chords; with profiles that fall, E itself does not."""
    model, sags, one = trained(weak_convexity=0.7), [], LEVEL[:1]
    for spline in model.profiles:
        spline.slopes.data[:] = torch.tensor([1.0, 1.0, -0.7, -0.7, -0.7, 0.0])
    for size in torch.logspace(-2, 1, 20):
        x = size * image(1, 8, 9)
        z = x + 0.1 * size * image(1, 8, 9)
        chord = (model.energy(x, one) + model.energy(z, one)) / 2
        sag = (chord - model.energy((x + z) / 2, one)) / inner(x - z, x - z)
        sags.append(8 * sag.item())
    assert -0.7 <= min(sags) < 0
    assert bool((model.energy(image(5, 8, 9), one) >= 0).all())


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j, 1e-25j])
def test_it_commutes_with_every_complex_number(factor: complex) -> None:
    """In single precision too, where the square of 1e-25 is none."""
    model, x = trained(), image(2, 9, 12)
    turned = model(factor * x, abs(factor) * LEVEL)
    assert (model(x, LEVEL) - x).norm() > 0.02 * x.norm()
    assert_close(turned / factor, model(x, LEVEL))
    single, x, level = model.float(), x.to(torch.complex64), LEVEL.float()
    turned = single(factor * x, abs(factor) * level) / factor
    assert_close(turned, single(x, level), rtol=1e-4, atol=1e-5)
    assert_close(single(factor * x) / factor, single(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("phase", [0.3, 1.0, 2.5])
def test_a_phase_turns_the_gradient_and_leaves_the_energy(phase: float) -> None:
    model, x = trained().float(), image(2, 24, 21).to(torch.complex64)
    turn, level = torch.polar(torch.ones(()), torch.tensor(phase)), LEVEL.float()
    found, turned = model.gradient(x, level), model.gradient(turn * x, level)
    assert (turned - turn * found).norm() < 1e-6 * found.norm()
    assert_close(model.energy(turn * x, level), model.energy(x, level), rtol=1e-6, atol=0)


def test_a_constant_costs_nothing() -> None:
    """But at the borders, beyond which all is zero: ten pixels and more away, nothing happens."""
    model = trained(filters=(3,))
    constant = torch.full((1, 32, 32), 2 - 1j, dtype=torch.complex128)
    gradient = model.gradient(constant, LEVEL[:1])[0]
    assert gradient[:4].abs().max() > 1e-2 and gradient[10:-10, 10:-10].abs().max() < 1e-12


def test_untold_it_takes_a_share_of_the_peak() -> None:
    model, x = trained(level=0.03), image(2, 9, 12)
    level = 0.03 * x.abs().amax((-2, -1), keepdim=True)
    assert_close(model(x), model.at(level)(x))
    assert (model(x) - model.at(4 * level)(x)).norm() > 1e-3 * x.norm()
    index = torch.tensor([1])
    assert_close(model.at(level).select(index)(x[index]), model(x)[index])


def test_samples_know_nothing_of_each_other() -> None:
    model, x = trained(), image(2, 8, 10)
    assert_close(model(x, LEVEL)[1:], model(x[1:], LEVEL[1:]))
    assert_close(model.energy(x, LEVEL)[1:], model.energy(x[1:], LEVEL[1:]))


def test_every_weight_takes_part_and_slopes_are_finite_where_there_is_nothing() -> None:
    model = trained()
    x = image(1, 24, 24)
    x[0, :, 12:] = 0
    x.requires_grad_()
    model(x, LEVEL[:1]).abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all())
    assert all(bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert not model(torch.zeros(1, 9, 9, dtype=torch.complex128)).any()


def squared_norm_of(model: Ridge, size: tuple[int, int]) -> float:
    """||W||^2 over images of a size, by power iteration: with profiles of slope 1 the gradient is
    W^H W x.
    """
    for spline in model.profiles:
        torch.nn.init.ones_(spline.slopes)
        spline.top = 1e9
        spline.knots.copy_(1e9 * torch.linspace(0, 1, spline.pieces + 1) ** 2)
    x = image(1, *size)
    for _ in range(100):
        x = model.gradient(x / x.norm(), LEVEL[:1]).detach()
    return float(x.norm())


@pytest.mark.parametrize("filters", [(6,), (3, 4), (3, 4, 5)])
def test_the_norm_of_the_filters_is_bounded_and_not_loosely(filters: tuple[int, ...]) -> None:
    model = trained(filters=filters)
    assert pyramid_norm(model.filters) <= 1 + 1e-12
    found = squared_norm_of(model, (48, 52))
    assert 0.6 < found <= 1 + 1e-9


def test_filters_that_are_short_enough_are_left_alone() -> None:
    model = trained()
    with torch.no_grad():
        for kernel in model.kernels:
            kernel.div_(3)
    before = [kernel.clone() for kernel in model.kernels]
    model.after_step()
    for kernel, old in zip(model.kernels, before):
        assert_close(kernel, old)
        assert_close(kernel.mean((1, 2)), torch.zeros(len(kernel)).double())


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_a_folded_convolution_is_the_convolution(kernel: int) -> None:
    kernels, x = torch.randn(3, kernel, kernel).double(), torch.randn(2, 1, 8, 12).double()
    right = conv2d(x, kernels[:, None], padding=kernel // 2)
    found = conv2d(folded(x), polyphase(kernels), padding=1)
    assert_close(torch.nn.functional.pixel_shuffle(found, FOLD), right)


@pytest.mark.parametrize("size", [(8, 12), (7, 13), (2, 3), (9, 4)])
def test_adjoints(size: tuple[int, int]) -> None:
    x = torch.randn(2, 1, *size).double()
    for forward, back in ((folded, folded_back), (halved, doubled)):
        y = torch.randn_like(forward(x))
        assert_close((forward(x) * y).sum(), (x * back(y, x)).sum())
    z = image(2, *size)
    assert_close(together(apart(z)), z)


def test_low_pass_images_keep_the_noise_level_nearly() -> None:
    low = halved(torch.randn(1, 1, 400, 400))
    assert 0.5 < float(low.std()) < 1
    constant = halved(torch.ones(1, 1, 20, 20))
    assert constant[0, 0, 5, 5] == pytest.approx(2), "nearly an isometry of smooth images"


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("ridge", **SMALL)
    assert isinstance(model, Denoiser) and isinstance(model, ToldDenoiser)
    assert model.lipschitz == 1 and model.residual
    card = {"filters": [3, 4], "kernel": 5, "pieces": 6, "top": 4.0}
    rest = {"weak_convexity": 0.5, "floor": 0.0, "level": 0.02}
    assert DENOISERS.to_json(model) == {"name": "ridge", **card, **rest}
    wrongs = (
        {"filters": ()},
        {"kernel": 6},
        {"kernel": 11},
        {"top": 0},
        {"weak_convexity": 1.5},
        {"floor": -0.1},
    )
    for wrong in wrongs:
        with pytest.raises(InputError, match=next(iter(wrong))):
            DENOISERS.make("ridge", **wrong)
