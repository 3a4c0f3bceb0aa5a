"""Learnlets give back the image where nothing is thresholded, know the noise that each threshold
meets, and know no phase and no scale of an image.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from deqlab.core.errors import InputError
from deqlab.networks import DENOISERS, Learnlets
from deqlab.networks.protocol import Denoiser, ToldDenoiser, keep_promise
from deqlab.networks.thresholds import THRESHOLDS
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.plug_and_play import PlugAndPlay
from deqlab.signal.transforms.starlet import starlet

SMALL = {"scales": 2, "filters": 3, "analysis": 3, "synthesis": 5}
KINDS = [{}, {"threshold": "garrote"}, {"learned_split": True}]


def trained(**chosen) -> Learnlets:
    """Learnlets with weights that are none of those they start from."""
    model = Learnlets(**{**SMALL, **chosen})
    for name, parameter in model.named_parameters():
        if name == "strengths":
            nn.init.uniform_(parameter, 0.5, 3)
        else:
            nn.init.normal_(parameter, std=0.3)
    keep_promise(model)
    return model.double()


def image(*size: int) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.complex128)


@pytest.mark.parametrize("size", [(20, 34), (95, 127), (3, 5), (1, 1)])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_without_thresholds_the_image_comes_back(size: tuple[int, int], kind: dict) -> None:
    """Over 100 dB in single precision, whatever the filters; with thresholds it does not."""
    model, x = trained(scales=3, **kind).float(), image(2, *size).to(torch.complex64)
    back = model.at(torch.zeros(1, 1, 1))(x)
    assert 20 * (x.norm() / (back - x).norm()).log10() > 100
    if size[0] > 1:
        assert (model.at(torch.full((1, 1, 1), 0.3))(x) - x).norm() > 0.05 * x.norm()
    with torch.no_grad():
        model.strengths.zero_()
    assert 20 * (x.norm() / (model(x) - x).norm()).log10() > 100


@pytest.mark.parametrize("learned", [False, True])
def test_the_noise_that_each_threshold_meets(learned: bool) -> None:
    """Its standard deviation, from 150000 pixels of noise away from the borders."""
    model = trained(analysis=5, learned_split=learned).float()
    noise = torch.randn(2, 300, 300)
    with torch.no_grad():
        details, _ = starlet(noise, model.low_pass)
        parts = torch.stack((details, torch.zeros_like(details)), 1)
        responses = model._analysed(parts)[:, 0, :, 20:-20, 20:-20]
        of_filters, of_details = model.noise()
    inner = details[..., 20:-20, 20:-20]
    torch.testing.assert_close(inner.std((0, -2, -1)), of_details, rtol=0.03, atol=0)
    found = responses.std((0, -2, -1)).unflatten(0, (2, -1))
    torch.testing.assert_close(found, of_filters, rtol=0.03, atol=0)
    # The filters in use have unit norm.
    norms = torch.linalg.vector_norm(model.analysis, dim=(-2, -1))
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_a_threshold_is_alpha_times_that_noise() -> None:
    """Without filters, of details alone: what stands in front of a threshold stays, by hand."""
    model, x, level = trained(scales=1), image(1, 9, 12), 0.4
    nn.init.zeros_(model.synthesis)
    details, coarse = starlet(x, model.low_pass)
    top = level * model.strengths[1, 0] * model.noise()[1][0]
    kept = details[:, 0] * (1 - top / details[:, 0].abs()).clamp_min(0)
    found = model.at(torch.full((1, 1, 1), level))(x)
    torch.testing.assert_close(found, kept + coarse, rtol=1e-5, atol=1e-6)
    assert 0 < (kept == 0).double().mean() < 1


def test_a_response_is_thresholded_at_alpha_times_its_noise_too() -> None:
    """One filter, by hand, with no threshold of the details: x + S [T1(W d) - W d]."""
    model, x, level = trained(scales=1, filters=1), image(1, 9, 12), 0.4
    with torch.no_grad():
        model.strengths[1] = 0
    detail = starlet(x, model.low_pass)[0]
    response = conv2d(detail, model.analysis.to(detail.dtype), padding=1)
    top = level * model.strengths[0, 0] * model.noise()[0][0, 0]
    left = response * (1 - top / response.abs()).clamp_min(0)
    change = conv2d(left - response, model.synthesis.to(detail.dtype), padding=2)[:, 0]
    found = model.at(torch.full((1, 1, 1), level))(x)
    torch.testing.assert_close(found, x + change, rtol=1e-5, atol=1e-6)
    assert 0 < (left == 0).double().mean() < 1


@pytest.mark.parametrize("factor", [-1, 1j, 3e-4 * (2 - 1j), 1e25 - 2e25j, 1e-25j])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_commutes_with_every_complex_number(factor: complex, kind: dict) -> None:
    """With a level that grows as the image does; in single precision too."""
    model, x, level = trained(**kind), image(2, 9, 12), torch.full((1, 1, 1), 0.4).double()
    told = model.at(level)(x)
    assert (told - x).norm() > 0.05 * x.norm()
    torch.testing.assert_close(model.at(abs(factor) * level)(factor * x) / factor, told)
    torch.testing.assert_close(model(factor * x) / factor, model(x))
    single, x, level = model.float(), x.to(torch.complex64), level.float()
    turned = single.at(abs(factor) * level)(factor * x) / factor
    torch.testing.assert_close(turned, single.at(level)(x), rtol=1e-4, atol=1e-5)


def test_it_is_as_strong_as_it_is_told() -> None:
    """In the units of the image; untold, it takes the share of the peak that its options name."""
    model, x = trained(level=0.1), image(2, 9, 12)
    peak = x.abs().amax((-2, -1), keepdim=True)
    told = model.at(0.1 * peak)
    torch.testing.assert_close(told(x), model(x))
    index = torch.tensor([1])
    torch.testing.assert_close(told.select(index)(x[index]), told(x)[index])
    torch.testing.assert_close(model(x)[1:], model(x[1:]))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_step_of_training_helps_and_changes_every_weight(kind: dict) -> None:
    model = Learnlets(**SMALL, **kind)
    names = {
        "kernels",
        "synthesis",
        "strengths",
        *(["low_pass"] if "learned_split" in kind else []),
    }
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert before.keys() == names and model.state_dict().keys() == names
    clean = torch.zeros(2, 24, 24, dtype=torch.complex64)
    clean[:, 6:18, 8:20] = 1 + 1j
    noisy = clean + 0.1 * torch.randn_like(clean)
    level = torch.full((1, 1, 1), 0.1 / math.sqrt(2))
    optimiser, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for step in range(10):
        losses.append((model.at(level)(noisy) - clean).norm())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
        model.after_step()
        if step == 0:
            for name, parameter in model.named_parameters():
                assert (parameter != before[name]).all(), name
    assert losses[-1] < losses[0] < (noisy - clean).norm()


def test_after_a_step_strengths_are_in_their_interval_and_constants_pass() -> None:
    model = Learnlets(**SMALL, learned_split=True)
    with torch.no_grad():
        model.strengths.copy_(torch.tensor([[-1.0, 2.0], [7.0, 5.0]]))
        model.low_pass.add_(0.1)
    keep_promise(model)
    assert model.strengths.tolist() == [[0, 2], [5, 5]]
    total = model.low_pass[:, 0] + 2 * model.low_pass[:, 1:].sum(1)
    torch.testing.assert_close(total, torch.ones(2))


@pytest.mark.parametrize("kind", ["zero", "dot"])
def test_slopes_are_finite_where_there_is_nothing(kind: str) -> None:
    model = trained().float()
    x = torch.zeros(1, 20, 20, dtype=torch.complex64)
    if kind == "dot":
        x[0, 7, 9] = 1 - 2j
    x.requires_grad_()
    for told in (model, model.at(torch.full((1, 1, 1), 0.3))):
        found = told(x)
        assert torch.isfinite(found.abs()).all() and (kind == "dot" or not found.any())
        found.abs().square().sum().backward()
        grads = [torch.view_as_real(x.grad), *(parameter.grad for parameter in model.parameters())]
        assert all(bool(torch.isfinite(grad).all()) for grad in grads)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_its_derivative_is_that_of_what_it_computes(kind: dict) -> None:
    model = trained(scales=1, filters=2, **kind)
    level = torch.full((1, 1, 1), 0.1).double()
    assert torch.autograd.gradcheck(model.at(level), (image(1, 4, 5).requires_grad_(),))


@pytest.mark.parametrize("name", THRESHOLDS.names())
def test_thresholds_keep_nothing_below_and_all_without(name: str) -> None:
    threshold = THRESHOLDS.make(name)
    modulus = torch.linspace(1e-3, 4, 50)
    gain = threshold.gain(modulus, torch.tensor(1.0))
    assert torch.equal(gain == 0, modulus <= 1) and ((gain >= 0) & (gain < 1)).all()
    assert (gain.diff() >= 0).all()
    assert torch.equal(threshold.gain(modulus, torch.tensor(0.0)), torch.ones(50))
    expected = {"soft": 0.75, "garrote": 0.9375}
    assert threshold.gain(torch.tensor(4.0), torch.tensor(1.0)) == expected[name]


def test_it_serves_in_an_equilibrium_and_in_plug_and_play(measure) -> None:
    data = measure(2, dtype=torch.complex64)
    model = DEGrad(denoiser=Learnlets.Options(**SMALL), max_evaluations=3)
    assert torch.isfinite(model(data.kspace, data.A).abs()).all()
    plain = PlugAndPlay(model.denoiser, max_evaluations=3)
    assert torch.isfinite(plain(data.kspace, data.A).abs()).all()


def test_half_precision_inside_leaves_the_image_whole() -> None:
    model, x = trained().float(), image(1, 12, 11).to(torch.complex64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(x)
    assert found.dtype == torch.complex64
    assert (found - model(x)).norm() < 0.02 * x.norm()


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = DENOISERS.make("learnlets", size="published")
    assert sum(p.numel() for p in model.parameters()) == 5 * 64 * (11**2 + 13**2) + 10


def test_it_is_a_denoiser_by_name() -> None:
    model = DENOISERS.make("learnlets", **SMALL)
    assert isinstance(model, Denoiser) and isinstance(model, ToldDenoiser)
    own = {"threshold": {"name": "soft"}, "learned_split": False, "level": 0.02}
    assert DENOISERS.to_json(model) == {"name": "learnlets", **SMALL, **own}
    wrongs = ({"scales": 0}, {"analysis": 4}, {"synthesis": 2}, {"threshold": "sfot"}, {"level": 0})
    for wrong in wrongs:
        with pytest.raises(InputError, match=f"^{next(iter(wrong))}: "):
            DENOISERS.make("learnlets", **wrong)
