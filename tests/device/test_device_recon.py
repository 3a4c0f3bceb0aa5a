"""Every reconstructor of the registry on a pretended device, and what trains and judges them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import default_of, names_of
from deqlab.data.sample import Sample, collate
from deqlab.data.truth import KnownTruth
from deqlab.evaluation.judge import judge
from deqlab.losses import L1Loss
from deqlab.networks import DENOISERS, DnCNN
from deqlab.operators import CartesianOperator, LinearOperator, NUFFTOperator
from deqlab.recon import METHODS, Budget, create
from deqlab.recon.registry import trainable
from deqlab.training.checkpoint import load_checkpoint, save_checkpoint
from deqlab.training.objectives import OBJECTIVES, Step

SHAPE, COILS = (8, 20), 3
# Whatever has such an option gets a small one.
SMALL = {"depth": 2, "width": 2, "widths": (2, 3), "iterations": 2, "primal": 2, "dual": 2}
SMALL |= {"matrix": SHAPE}
# Evaluations enough to pass every line: a long way through a network with kinks would magnify the
# rounding in which two orders of summation differ.
FEW = 3
# On a device images are summed over coils in another order.
ROUNDING = 1e-6


def small(kind: type) -> dict[str, Any]:
    """Options of a kind that make a small one of it."""
    return {name: SMALL[name] for name in names_of(kind) if name in SMALL}


def method(name: str) -> Any:
    """Small, in double precision, with weights that do something."""
    kind = METHODS.options(name)
    options = small(kind)
    if name == "pnp":
        options["denoiser"] = DnCNN(2, 2).double()
    elif "denoiser" in names_of(kind):
        default = default_of(kind, "denoiser")
        options["denoiser"] = DENOISERS.to_json(default) | small(type(default))
    model = create(name, **options)
    if not isinstance(model, nn.Module):
        return model
    for parameter in model.double().parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return model


def maps() -> Tensor:
    found = torch.randn(2, COILS, *SHAPE, dtype=torch.complex128)
    return found / found.abs().square().sum(1, keepdim=True).sqrt()


def comb() -> CartesianOperator:
    """Every second line and nine in the middle, which all methods take."""
    column = torch.arange(SHAPE[1])
    return CartesianOperator((column % 2 == 0) | ((column - 10).abs() <= 4), maps())


def off_the_grid() -> NUFFTOperator:
    return NUFFTOperator(torch.rand(200, 2, dtype=torch.float64) - 0.5, SHAPE, maps())


def measured(A: LinearOperator) -> Tensor:
    return A(torch.randn(2, *SHAPE, dtype=torch.complex128))


@pytest.mark.parametrize("operator", [comb, off_the_grid])
@pytest.mark.parametrize("name", METHODS)
def test_every_method(same, name: str, operator) -> None:
    A = operator()
    if operator is off_the_grid and method(name).takes.cartesian:
        with pytest.raises(InputError):
            method(name).run(measured(A), A)
        return

    def compute(method: Any, kspace: Tensor, A: LinearOperator) -> Tensor:
        with torch.no_grad():
            budget = Budget(max_evaluations=FEW) if method.iterates else Budget()
            return method.run(kspace, A, budget).image

    same(compute, method(name), measured(A), A, tolerance=ROUNDING)


# This one solves twice, for its phase first.
ONE_SOLVE = [name for name in METHODS if METHODS[name].iterates and name != "de-grad-referenced"]


@pytest.mark.parametrize("name", ONE_SOLVE)
def test_a_solve_waits_once_an_evaluation(device, name: str) -> None:
    """With one coil, where A^H A is a projection; with more, a data step that is solved for waits
    for each of its own products.
    """
    A = CartesianOperator(torch.arange(SHAPE[1]) % 3 == 0)
    kspace, A, model = measured(A).to(device.name), A.to(device.name), method(name).to(device.name)
    A.normal(A.H(kspace))
    device.waits.clear()
    evaluations = model.run(kspace, A, Budget(1e-9, 6)).solution.evaluations
    # Before and after: a polynomial's degree, the start of conjugate gradients, products counted.
    assert len(device.waits) <= evaluations.max() + 2


@pytest.fixture
def batch() -> Sample:
    """Two slices under study."""
    A = comb()
    reference = torch.randn(2, *SHAPE, dtype=torch.complex128)
    one = lambda i: Sample(
        kspace=A.select(torch.tensor([i]))(reference[i : i + 1])[0],
        operator=A.select(torch.tensor([i])),
        scale=2.0,
        file="a.h5",
        slice=i,
        contrast="T1",
        crop=SHAPE,
        truth=KnownTruth(reference[i].abs(), reference[i], 3.0),
    )
    return collate([one(0), one(1)])


def test_a_sample_moves_whole(device, batch: Sample) -> None:
    there = batch.to(device.name)
    parts = [part for part in vars(there).values() if isinstance(part, Tensor)]
    parts += [there.target, there.reference, *there.operator.buffers()]
    assert len(parts) == 6 and all(part.device == device.name for part in parts)
    assert batch.kspace.device == batch.operator.mask.device == torch.device("cpu")


@pytest.mark.parametrize("name", trainable())
def test_a_step_of_training(same, tmp_path, batch: Sample, name: str) -> None:
    """The objectives of the method, a step each, and a checkpoint there and back."""
    kind = OBJECTIVES.options(METHODS[name].trained_by)
    wanted = {"max_evaluations": FEW, "jacobian": 0.1, "hinge_iterations": 1}
    objective = kind(**{key: wanted[key] for key in names_of(kind) if key in wanted})
    model = method(name)
    objective.attach(model)

    def compute(model: nn.Module, batch: Sample) -> list[Tensor]:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for number, phase in enumerate(objective.phases(1, model.options)):
            optimizer.zero_grad()
            total, _ = phase.objective(model, batch, Step(0, number, L1Loss()))
            total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.after_step()
            save_checkpoint(tmp_path / "state", model, optimizer, {})
            load_checkpoint(tmp_path / "state", model, optimizer)
        return [total.detach(), *(parameter.detach() for parameter in model.parameters())]

    same(compute, model, batch, tolerance=ROUNDING)


def test_a_method_is_judged(device, batch: Sample) -> None:
    """Metrics take arrays, so a device must let go of what is judged."""
    volumes = batch, batch.to(device.name)
    for name in ("zero-filled", "tv"):
        rows = [judge(name, create(name), volume, 2) for volume in volumes]
        assert rows[0].scores == pytest.approx(rows[1].scores, rel=1e-4)
