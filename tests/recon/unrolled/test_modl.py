"""MoDL is its equilibrium's iteration, stopped by number; how much its steps share is a dial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.core.options import updated
from deqlab.recon import METHODS, create
from deqlab.recon.base import Budget
from deqlab.recon.unrolled.modl import MoDL, Shared
from deqlab.recon.weights import denoiser, save
from deqlab.solvers import Picard
from deqlab.training.config import TrainingConfig
from deqlab.training.trainer import train

DNCNN = {"name": "dncnn", "depth": 2, "width": 4}
TOLD = {"name": "demodulated-unet", "widths": (4, 6), "wide": ()}
OWN = Shared(denoiser=False, step=False, weight=False)


def stir(model: nn.Module, size: float = 0.05) -> Any:
    """In double precision, with weights that are none of those it starts from."""
    for parameter in model.parameters():
        parameter.data.add_(size * torch.randn_like(parameter))
    return model.double()


@pytest.mark.parametrize("network", [DNCNN, TOLD], ids=("dncnn", "told"))
@pytest.mark.parametrize("steps", [1, 4])
def test_shared_steps_are_picard_steps_of_the_equilibrium(measure, network, steps: int) -> None:
    """The same weights: either model's are the other's."""
    data = measure(2, 2, (12, 11))
    model = stir(MoDL(denoiser=network, iterations=steps), 0.01)
    equilibrium = create("de-grad-measured", denoiser=network).double()
    equilibrium.load_state_dict(model.twin.state_dict())
    assert len(list(model.parameters())) == len(list(equilibrium.parameters()))
    f = equilibrium.iterated_map(data.kspace, data.A)
    x = equilibrium.start(f)
    for _ in range(steps):
        x = f(x)
    assert_close(model(data.kspace, data.A), x)
    equilibrium.solver = Picard()
    # A solver gives the iterate whose residual it knows, which takes one evaluation more.
    solution = equilibrium.solve(data.kspace, data.A, 1e-14, steps + 1)
    assert_close(model(data.kspace, data.A), solution.value)


def test_many_steps_arrive_at_the_equilibrium(measure) -> None:
    data = measure(1, 2, (12, 11))
    model = MoDL(denoiser=DNCNN, iterations=2).double()
    for parameter in model.twin.denoiser.parameters():
        nn.init.normal_(parameter, std=0.02)
    equilibrium = create("de-grad-measured", denoiser=DNCNN).double()
    equilibrium.load_state_dict(model.twin.state_dict())
    solution = equilibrium.solve(data.kspace, data.A, 1e-10, 200)
    assert bool(solution.converged.all())
    longer = model.run(data.kspace, data.A, Budget(max_evaluations=200)).image
    assert (longer - solution.value).norm() < 1e-3 * longer.norm()


@pytest.mark.parametrize("network", [DNCNN, TOLD], ids=("dncnn", "told"))
def test_what_is_not_shared_starts_as_if_it_were(measure, network) -> None:
    data = measure(2, 2, (12, 11))
    torch.manual_seed(5)
    shared = stir(MoDL(denoiser=network, iterations=3))
    own = MoDL(denoiser=network, iterations=3, share=OWN).double()
    own.twin.load_state_dict(shared.twin.state_dict())
    for later in own.later:
        later.load_state_dict(shared.twin.denoiser.state_dict())
    assert_close(own(data.kspace, data.A), shared(data.kspace, data.A))


@pytest.mark.parametrize("network", [DNCNN, TOLD], ids=("dncnn", "told"))
@pytest.mark.parametrize("part", ["denoiser", "step", "weight"])
@pytest.mark.parametrize("place", [1, 2])
def test_what_a_step_has_of_its_own_is_its_own(measure, network, part: str, place: int) -> None:
    """Changed for the second or third of three, images change from there on; and nothing else of
    its own is there to be learned.
    """
    data = measure(1, 2, (12, 11))
    model = stir(MoDL(denoiser=network, iterations=3, share=replace(Shared(), **{part: False})))
    before = list(model.images(data.kspace, data.A))
    own = {"denoiser": model.later, "step": model.log_steps, "weight": model.log_weights}
    assert [name for name, value in own.items() if value is not None and len(value)] == [part]
    with torch.no_grad():
        if part == "denoiser":
            next(iter(model.later[place - 1].parameters())).mul_(1.5)
        else:
            own[part][place] += 0.5
    after = list(model.images(data.kspace, data.A))
    same = [torch.allclose(one, other) for one, other in zip(before, after)]
    assert same == [True] * (place + 1) + [False] * (3 - place)


def test_factors_multiply_step_and_weight(measure) -> None:
    data = measure(2, 2, (12, 11))
    model = stir(MoDL(denoiser=DNCNN, iterations=2, share=Shared(step=False, weight=False)))
    f = model.twin.iterated_map(data.kspace, data.A)
    for index in range(2):
        own = model._map(index, f)
        assert_close(own.step, f.step * model.log_steps[index].exp())
        assert_close(own.weight, f.weight * model.log_weights[index].exp())


def test_the_dial_is_turned_in_the_shell() -> None:
    chosen = updated(METHODS.defaults("modl"), {"share.step": "false", "iterations": "3"})
    assert chosen.share == Shared(step=False) and chosen.iterations == 3
    with pytest.raises(InputError, match="share: unknown option 'steps', did you mean step"):
        updated(chosen, {"share.steps": "false"})


def config(name: str, **options: Any) -> TrainingConfig:
    model = {"name": name, "denoiser": DNCNN, **options}
    return TrainingConfig(
        model=model, epochs=1, steps_per_epoch=1, learning_rate=1e-9, device="cpu"
    )


def test_trained_denoisers_go_either_way(tiny_data, tmp_path) -> None:
    """From an equilibrium to every step, and back."""
    equilibrium = stir(create("de-grad-measured", denoiser=DNCNN)).float()
    unrolled = stir(MoDL(denoiser=DNCNN, iterations=3, share=OWN)).float()
    for model, other in ((equilibrium, "modl"), (unrolled, "de-grad-measured")):
        card = tmp_path / f"{other}.json"
        save(model, card, {})
        chosen = {"iterations": 3, "share": {"denoiser": False}} if other == "modl" else {}
        start = config(other, **chosen)
        if other != "modl":
            start = replace(start, objective={"name": "denoising"})
        trained = train(start, tiny_data["train"], progress=False, denoiser=denoiser(card)).model
        assert len(trained.denoisers()) == (3 if other == "modl" else 1)
        for found in trained.denoisers():
            for mine, theirs in zip(found.parameters(), model.denoisers()[0].parameters()):
                assert_close(mine, theirs, rtol=0, atol=1e-6)


def test_promises_of_denoisers_are_kept() -> None:
    bounded = DNCNN | {"lipschitz": 0.5}
    model = MoDL(denoiser=bounded, iterations=2, share=OWN)
    for own in model.denoisers():
        nn.init.normal_(own.layers[0].weight, std=3.0)
    model.after_step()
    assert max(own.layers[0].weight.abs().max() for own in model.denoisers()) < 1
