"""Names and options: what is known works, what is not is answered with what is nearest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.core.options import updated
from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator
from deqlab.recon import METHODS, create, load
from deqlab.recon.deq.mol import MOL
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.registry import learned
from deqlab.recon.weights import ready, shipped_names

SMALL = {"depth": 2, "width": 2}


def test_the_methods_are_known() -> None:
    plain, trained = (
        ["zero-filled", "cg-sense", "sense", "grappa", "wavelet", "tv", "pnp"],
        ["de-prox", "de-grad", "de-admm", "mol"],
    )
    assert set(METHODS.names()) >= {*plain, *trained}
    assert not any(map(learned, plain)) and all(map(learned, trained))


@pytest.mark.parametrize("name", METHODS.names())
def test_every_name_makes_a_reconstructor(measure, name: str) -> None:
    """image = recon(kspace, A), of the operator's image shape: nobody needs to ask which method it
    is.
    """
    data = measure(2, dtype=torch.complex64)
    if name in ("sense", "grappa"):
        # One unfolds a comb of lines, the other learns from calibration lines.
        mask = (torch.arange(20) % 2 == 0) | ((torch.arange(20) - 10).abs() <= 4)
        A = CartesianOperator(mask, torch.randn(3, 6, 20, dtype=torch.complex64))
        data = replace(data, A=A, kspace=A(torch.randn(2, 6, 20, dtype=torch.complex64)))
    if name == "automap":
        # Made for one matrix size.
        model = create(name, matrix=(6, 7))
    elif learned(name):
        default = METHODS.defaults(name)
        small = isinstance(getattr(default, "denoiser", None), DnCNN.Options)
        chosen = {f"denoiser.{key}": value for key, value in SMALL.items()} if small else {}
        model = METHODS.build(updated(default, chosen))
    else:
        model = ready(name)
    assert model(data.kspace, data.A).shape == data.A.H(data.kspace).shape
    solves = METHODS[name].trained_by == "equilibrium" or name in ("wavelet", "tv", "pnp")
    assert isinstance(model, FixedPointMethod) == solves


def test_options_reach_the_model() -> None:
    model = create(
        "de-grad",
        denoiser=DnCNN.Options(depth=4, width=6, lipschitz=0.7, unshuffle=2, residual=False),
        step=0.5,
        weight=2.0,
    )
    assert [c.weight.shape[:2] for c in model.denoiser.convolutions()] == [
        (6, 8),
        (6, 6),
        (6, 6),
        (8, 6),
    ]
    assert model.denoiser.lipschitz == 0.7 and not model.denoiser.residual
    assert model.step.item() == pytest.approx(
        0.5
    ) and model.log_weight.exp().item() == pytest.approx(2.0)
    prox = create(
        "de-prox", denoiser=DnCNN.Options(depth=2, width=8, norm="group", bias=True), step=0.3
    )
    assert (
        prox.step.item() == pytest.approx(0.3) and prox.denoiser.convolutions()[0].bias is not None
    )
    assert any(isinstance(layer, torch.nn.GroupNorm) for layer in prox.denoiser.layers)
    admm = create("de-admm", denoiser=DnCNN.Options(depth=2, width=8, residual=False), step=0.3)
    assert admm.step.item() == pytest.approx(0.3) and not admm.denoiser.residual
    mol = create(
        "mol",
        denoiser={"name": "dncnn", "depth": 2, "width": 8, "lipschitz": 0.6, "residual": False},
        step=1.2,
        weight=2.0,
    )
    assert mol.step.item() == pytest.approx(1.2) and mol.log_weight.exp().item() == pytest.approx(
        2.0
    )
    assert (
        mol.denoiser.lipschitz == 0.6
        and not mol.denoiser.residual
        and MOL.Options().denoiser.lipschitz == 0.9
    )
    assert create("cg-sense", weight=0.5).weight == 0.5


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("de-gard", {}, ["'de-gard'", "did you mean de-grad?"]),
        ("cgsense", {}, ["did you mean cg-sense?"]),
        (
            "variational-network",
            {},
            [
                "unknown model 'variational-network'",
                "valid: zero-filled, cg-sense, ",
                "de-prox, de-grad, de-admm, mol",
            ],
        ),
        ("de-grad", {"stpe": 3}, ["de-grad", "'stpe'", "did you mean step?"]),
        ("de-prox", {"weight": 1.0}, ["de-prox", "'weight'"]),
        ("mol", {"norm": "group"}, ["mol", "'norm'"]),
        ("cg-sense", {"wieght": 1.0}, ["did you mean weight?"]),
        ("zero-filled", {"depth": 3}, ["'depth'", "none"]),
    ],
)
def test_what_is_unknown_is_answered_with_what_is_nearest(
    name: str, options: dict, words: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        create(name, **options)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["zero-filled", "cg-sense", "sense", "grappa"])
def test_plain_methods_need_no_weights(name: str) -> None:
    assert type(ready(name)) is type(create(name))


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_weights_load_and_are_frozen(measure, name: str) -> None:
    data = measure(2, size=(16, 17), dtype=torch.complex64)
    model = load(name)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        assert bool(torch.isfinite(model(data.kspace, data.A)).all())
