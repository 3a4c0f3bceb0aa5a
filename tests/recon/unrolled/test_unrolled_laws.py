"""Laws of every unrolled network: units, coils, sizes, gradients, memory. A new one is a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from deqlab.core.errors import InputError
from deqlab.data.sample import Sample, collate
from deqlab.data.truth import KnownTruth
from deqlab.losses import L1Loss
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.recon import METHODS, create
from deqlab.recon.unrolled.base import Unrolled
from deqlab.signal.sampling.trajectories import Radial, Spiral
from deqlab.training.objectives import OBJECTIVES, Step, Supervised

CONVOLUTIONS = {"name": "dncnn", "depth": 2, "width": 4, "bias": True}
TOLD = {"name": "demodulated-unet", "widths": (4, 6), "wide": ()}
# A small one of each, with all that it may learn.
MODELS: dict[str, dict[str, Any]] = {
    "pdnet": {"iterations": 2, "width": 4},
    "cascade-net": {"iterations": 2, "denoiser": CONVOLUTIONS, "consistency": "soft"},
    "kiki-net": {"iterations": 4, "depth": 2, "width": 4},
    "modl": {
        "iterations": 2,
        "denoiser": TOLD,
        "share": {"denoiser": False, "step": False, "weight": False},
    },
    "rim": {"iterations": 2, "width": 4},
    # Refined coil maps have tests of their own.
    "xpdnet": {
        "iterations": 2,
        "primal": 2,
        "network": {"name": "multi-wavelet", "widths": (4, 6)},
        "refine": None,
    },
    "ncpdnet": {"iterations": 2, "primal": 2, "width": 4},
}
SIZES = [(20, 34), (95, 127)]
# Those that take k-space off the grid.
ANYWHERE = [name for name in MODELS if not METHODS[name].takes.cartesian]
each = pytest.mark.parametrize("name", MODELS)


def weighted(name: str, **changes: Any) -> Any:
    """A small network whose weights are none of those it starts from, in double precision."""
    model = create(name, **(MODELS[name] | changes))
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def test_every_unrolled_network_is_held_to_them() -> None:
    assert {name for name in METHODS if issubclass(METHODS[name], Unrolled)} == set(MODELS)


@each
def test_it_turns_with_the_phase_and_scales_with_the_intensity(measure, name: str) -> None:
    data, model = measure(2, 2, (13, 10)), weighted(name)
    found, turn = model(data.kspace, data.A), 3e-6 * torch.exp(torch.tensor(0.7j))
    assert found.shape == (2, 13, 10)
    turned = model(turn * data.kspace, data.A)
    torch.testing.assert_close(turned, turn * found, rtol=1e-4, atol=1e-10)


@each
def test_the_order_of_coils_does_not_matter(measure, name: str) -> None:
    data, model = measure(1, 3, (9, 12)), weighted(name)
    order = torch.tensor([2, 0, 1])
    turned = CartesianOperator(data.A.mask, data.A.coil_maps[:, order])
    found = model(data.kspace[:, order], turned)
    torch.testing.assert_close(found, model(data.kspace, data.A), rtol=1e-5, atol=1e-7)


@each
def test_samples_know_nothing_of_their_batch(measure, name: str) -> None:
    data, model = measure(3, 2, (9, 12)), weighted(name)
    together = model(data.kspace, data.A)
    for member in range(3):
        own = data.member(member)
        torch.testing.assert_close(model(own.kspace, own.A)[0], together[member])


def differentiated(model: nn.Module, kspace: Tensor, A: Any, size: tuple[int, ...]) -> None:
    """An image of the size, and a finite gradient for every weight."""
    image = model(kspace, A)
    assert image.shape == (len(kspace), *size) and image.is_complex()
    image.abs().square().sum().backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert bool(torch.isfinite(parameter.grad).all()), label


@each
@pytest.mark.parametrize("coils", [1, 8])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_and_any_number_of_coils(measure, name: str, coils: int, size) -> None:
    data = measure(1, coils, size, torch.complex64)
    differentiated(weighted(name).float(), data.kspace, data.A, size)


@pytest.mark.parametrize("name", ANYWHERE)
@pytest.mark.parametrize("pattern", [Radial(5), Spiral(2, 3)], ids=("radial", "spiral"))
@pytest.mark.parametrize("coils", [1, 3])
def test_off_the_grid_where_it_is_taken(name: str, pattern: Radial | Spiral, coils: int) -> None:
    size = (20, 17)
    maps = torch.randn(coils, *size, dtype=torch.complex64) if coils > 1 else None
    A = NUFFTOperator(pattern.sample(size).float(), size, maps)
    kspace = A(torch.randn(1, *size, dtype=torch.complex64))
    differentiated(weighted(name).float(), kspace, A, size)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ANYWHERE])
def test_off_the_grid_it_is_refused_where_not(name: str) -> None:
    A = NUFFTOperator(torch.rand(20, 2) - 0.5, (8, 8))
    with pytest.raises(InputError) as error:
        create(name, **MODELS[name])(torch.randn(1, 1, 20, dtype=torch.complex64), A)
    told = f"{METHODS[name].__name__}: takes samples of a Cartesian grid; NUFFTOperator given"
    assert str(error.value).startswith(told) and "\n" not in str(error.value)


@each
def test_volumes_are_refused(name: str) -> None:
    A = CartesianOperator(torch.ones(6, dtype=torch.bool), dimensions=3)
    with pytest.raises(InputError, match=f"^{METHODS[name].__name__}: .*(takes|3-dim).*"):
        create(name, **MODELS[name])(torch.randn(1, 1, 4, 5, 6, dtype=torch.complex64), A)


@each
def test_nothing_measured_gives_nothing_that_is_not_a_number(measure, name: str) -> None:
    data, model = measure(1, 2, (8, 9)), weighted(name)
    image = model(0 * data.kspace, data.A)
    image.abs().square().sum().backward()
    slopes = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in (image, *slopes))


@pytest.fixture
def batch() -> Any:
    """A slice under study with two coils and some noise."""
    reference = torch.randn(1, 12, 14, dtype=torch.complex128)
    maps = torch.randn(2, 12, 14, dtype=torch.complex128)
    A = CartesianOperator(torch.rand(14) < 0.6, maps / maps.abs().square().sum(0).sqrt())
    truth = KnownTruth(reference[0].abs(), reference[0], 3.0)
    kspace = A(reference)[0]
    return collate([Sample(kspace, A, 1.0, "a.h5", 0, "T1", (12, 14), truth=truth)])


@each
def test_a_step_of_training_changes_every_weight(batch: Any, name: str) -> None:
    """Of each phase that its objective names, where there are several."""
    model = weighted(name)
    objective = OBJECTIVES.defaults(METHODS[name].trained_by)
    objective.attach(model)
    before = {label: weight.detach().clone() for label, weight in model.named_parameters()}
    for phase in objective.phases(1, model.options):
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        phase.objective(model, batch, Step(0, 0, L1Loss()))[0].backward()
        optimizer.step()
        model.after_step()
        optimizer.zero_grad()
    still = [n for n, weight in model.named_parameters() if torch.equal(weight, before[n])]
    assert still == []


def saved(compute: Callable[[], Tensor]) -> int:
    """How many numbers a computation keeps for its backward pass."""
    count = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal count
        count += tensor.numel()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        compute()
    return count


@each
def test_checkpointing_keeps_images_alone_and_changes_no_gradient(batch: Any, name: str) -> None:
    """What is kept grows with every step where nothing is computed again, and hardly where it
    is.
    """
    kept, slopes = {}, {}
    for steps in (2, 6):
        torch.manual_seed(4)
        model = weighted(name, iterations=steps)
        for again in (False, True):
            objective = Supervised(checkpointing=again)
            objective.attach(model)
            step = Step(0, 0, L1Loss())
            kept[steps, again] = saved(lambda: objective(model, batch, step)[0])
            model.zero_grad()
            objective(model, batch, step)[0].backward()
            slopes[again] = [parameter.grad.clone() for parameter in model.parameters()]
        for one, other in zip(slopes[False], slopes[True]):
            torch.testing.assert_close(one, other)
    grown = {again: kept[6, again] - kept[2, again] for again in (False, True)}
    assert grown[True] < 0.1 * grown[False] and kept[6, True] < 0.3 * kept[6, False]


@each
def test_its_card_makes_it_again(measure, name: str) -> None:
    data, model = measure(1, 2, (8, 9)), weighted(name)
    card = METHODS.to_json(model)
    again = METHODS.build(METHODS.parse(card)).double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(data.kspace, data.A), model(data.kspace, data.A))
    assert replace(model.options) == again.options
