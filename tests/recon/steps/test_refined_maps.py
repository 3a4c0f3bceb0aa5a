"""Refined maps inside reconstructors: where they go, and gradients that reach them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.networks.coil_refiner import CoilRefiner
from deqlab.operators import CartesianOperator, NUFFTOperator, OffResonance
from deqlab.recon import create
from deqlab.recon.steps.refined_maps import refined
from deqlab.recon.steps.resolvent import resolvent

SMALL = {"name": "dncnn", "depth": 2, "width": 3, "lipschitz": 0.5}
REFINE = {"name": "coil-unet", "widths": (2, 3)}
EQUILIBRIA = ("de-prox", "de-grad", "de-admm", "de-grad-measured")


def drawn(name: str):
    """An equilibrium with small weights, none of them those it starts from."""
    given = SMALL if name != "de-grad-measured" else {"name": "unet", "widths": (2, 3)}
    model = create(name, denoiser=given, refine=REFINE).double()
    for parameter in model.refiner.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.tolerance, model.max_evaluations = 1e-9, 60
    return model


@pytest.mark.parametrize("name", EQUILIBRIA)
def test_an_equilibrium_with_refined_maps_is_that_of_those_maps(measure, name: str) -> None:
    data, model = measure(2, 3, (6, 7)), drawn(name)
    assert "refiner.network.inside.weight" in dict(model.named_parameters())
    plain = create(name, denoiser=model.options.denoiser).double()
    missing, strange = plain.load_state_dict(model.state_dict(), strict=False)
    assert not missing and all(key.startswith("refiner.") for key in strange)
    plain.tolerance, plain.max_evaluations = 1e-9, 60
    other = refined(data.A, model.refiner, data.kspace)
    with torch.no_grad():
        found, wanted = model(data.kspace, data.A), plain(data.kspace, other)
        torch.testing.assert_close(found, wanted)
        assert not torch.allclose(plain(data.kspace, data.A), found)


@pytest.mark.parametrize("name", ("de-prox", "de-admm"))
def test_the_implicit_gradient_reaches_the_refiner(measure, name: str) -> None:
    """Against central differences along a random direction of the refiner's weights."""
    data, model = measure(1, 2, (6, 7)), drawn(name)
    weights = list(model.refiner.parameters())
    goal = torch.randn(1, 6, 7, dtype=torch.complex128)

    def loss() -> torch.Tensor:
        return (goal.conj() * model(data.kspace, data.A)).real.sum()

    ways = [torch.randn_like(weight) for weight in weights]
    slopes = torch.autograd.grad(loss(), weights)
    slope = sum((s * way).sum() for s, way in zip(slopes, ways))
    values = []
    for sign in (1, -1):
        for weight, way in zip(weights, ways):
            weight.data.add_(sign * 1e-5 * way)
        with torch.no_grad():
            values.append(loss())
        for weight, way in zip(weights, ways):
            weight.data.sub_(sign * 1e-5 * way)
    assert slope.abs() > 1e-4
    # the backward solve stops at a relative residual of 1e-3
    torch.testing.assert_close(slope, (values[0] - values[1]) / 2e-5, rtol=5e-3, atol=1e-6)


def test_the_resolvent_is_differentiable_in_learned_maps() -> None:
    A = CartesianOperator(torch.rand(1, 1, 3, 4) < 0.6)
    maps = torch.randn(1, 2, 3, 4, dtype=torch.complex128, requires_grad=True)
    image = torch.randn(2, 3, 4, dtype=torch.complex128, requires_grad=True)
    step = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def solved(c, x, s):
        return resolvent(A.with_maps(c), x, s)

    assert torch.autograd.gradcheck(solved, (maps, image, step), fast_mode=True)
    plain = resolvent(A.with_maps(maps.detach()), image, step)
    torch.testing.assert_close(solved(maps, image, step), plain)


def test_what_has_no_maps_stays_and_what_cannot_change_them_is_refused() -> None:
    refiner, like = CoilRefiner((2, 3)), torch.zeros(1, 1, 20, dtype=torch.complex64)
    A = NUFFTOperator(torch.rand(20, 2, dtype=torch.float64) - 0.5, (8, 9))
    assert refined(A, refiner, like) is A and refined(A, None, like) is A
    around = OffResonance(A, torch.zeros(8, 9), torch.zeros(20))
    with pytest.raises(InputError, match="refine: the coil maps of OffResonance cannot be") as it:
        refined(around, refiner, like)
    assert "\n" not in str(it.value)


def test_maps_take_the_precision_of_kspace(measure) -> None:
    data = measure(1, 2, (6, 7), torch.complex64)
    kept = replace(data, kspace=data.kspace.to(torch.complex128))
    A = refined(kept.A, CoilRefiner((2, 3)).double(), kept.kspace)
    assert A.coil_maps.dtype == torch.complex128
