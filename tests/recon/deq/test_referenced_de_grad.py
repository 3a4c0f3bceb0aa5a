"""DE-Grad at the phase of a first reconstruction, which is held fixed."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import JacobianFree
from deqlab.networks.turned import unit_phase
from deqlab.recon import METHODS, create
from deqlab.recon.deq.referenced_de_grad import ReferencedDEGrad


def build(denoiser) -> ReferencedDEGrad:
    return ReferencedDEGrad(denoiser, weight=0.5, penalty=5e-3).double()


@torch.no_grad()
def test_the_denoiser_meets_the_image_at_the_phase_of_total_variation(measure, denoiser) -> None:
    data, R = measure(2, 2, (12, 11)), denoiser()
    p = unit_phase(create("tv", weight=5e-3)(data.kspace, data.A))
    x, model = torch.randn(2, 12, 11, dtype=torch.complex128), build(R)
    for f in (model.fixed_point_map(data.kspace, data.A), model.iterated_map(data.kspace, data.A)):
        assert_close(f.denoised(x), p * R(p.conj() * x))
        index = torch.tensor([1])
        assert_close(f.select(index)(x[index]), f(x)[index])


@torch.no_grad()
def test_it_turns_and_scales_with_kspace(measure, denoiser) -> None:
    data, model = measure(2, 2, (12, 11)), build(denoiser())
    factor = 1e-5 * (0.6 + 0.8j)
    found = model(factor * data.kspace, data.A)
    assert_close(found / factor, model(data.kspace, data.A), rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_denoiser(measure, denoiser) -> None:
    data, model = measure(1, 1, (12, 11)), build(denoiser())
    model.gradient = JacobianFree()
    model(data.kspace, data.A).abs().square().sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in model.denoiser.parameters())


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="penalty"):
        METHODS.make("de-grad-referenced", penalty=0)
