"""Training learns, keeps its promises, and ends with the same weights however often it was
interrupted.
"""

from __future__ import annotations

import itertools
import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.equilibrium import ImplicitGradient
from deqlab.networks import DnCNN
from deqlab.networks.convolution_norm import convolution_norm
from deqlab.recon import METHODS, create
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.solvers import Picard
from deqlab.training import trainer
from deqlab.training.checkpoint import load_checkpoint
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import TrainingSlices
from deqlab.training.objectives import Denoising, EquilibriumError, Step
from deqlab.training.trainer import CHECKPOINT, train

SMALL = DnCNN.Options(depth=3, width=4)
TINY = TrainingConfig(
    model=DEGrad.Options(denoiser=SMALL, step=0.5),
    objective=EquilibriumError(pretrain_epochs=2, max_evaluations=6, hinge_iterations=2),
    epochs=2,
    steps_per_epoch=2,
    max_pixels=512,
    learning_rate=2e-3,
    device="cpu",
)


def changed(config: TrainingConfig, model: dict | None = None, **objective) -> TrainingConfig:
    """The configuration with other options of its model and of its objective."""
    return replace(
        config,
        model=replace(config.model, **(model or {})),
        objective=replace(config.objective, **objective),
    )


def step(number: int, config: TrainingConfig = TINY) -> Step:
    return Step(config.seed, number, config.loss)


def of(name: str) -> TrainingConfig:
    """TINY for another model: of its denoiser's options only the size differs from the defaults."""
    default = METHODS.defaults(name)
    network = replace(default.denoiser, depth=SMALL.depth, width=SMALL.width)
    return replace(TINY, model=replace(default, denoiser=network, step=0.5))


IMPLICIT = ImplicitGradient(tolerance=1e-3, max_evaluations=8)
# The shortest run there is.
BRIEF = changed(replace(TINY, epochs=1, steps_per_epoch=1), pretrain_epochs=0)


class Interrupted(Exception):
    """Raised in place of a kill."""


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def interrupt_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Let the training step number `call` (0, 1, ...) of the next run raise."""
    step, calls = trainer._step, itertools.count()

    def interrupted(*args):
        if next(calls) == call:
            raise Interrupted
        return step(*args)

    monkeypatch.setattr(trainer, "_step", interrupted)


@pytest.fixture(scope="module")
def whole(tiny_data) -> Tensor:
    """The weights of an uninterrupted run."""
    return weights(train(TINY, tiny_data["train"], progress=False).model)


def test_two_phases_run_and_are_logged(tiny_data) -> None:
    calls = []
    result = train(
        TINY,
        tiny_data["train"],
        validate=lambda model: calls.append(model.training) or {"val": 1.5},
        progress=False,
    )
    assert [(entry["phase"], entry["epoch"]) for entry in result.history] == [
        ("pretrain", 1),
        ("pretrain", 2),
        ("train", 1),
        ("train", 2),
    ]
    assert calls == [False, False] and not result.model.training
    for entry in result.history:
        assert math.isfinite(entry["loss"]) and entry["gradient"] > 0 and entry["skipped"] == 0
    for entry in result.history[2:]:
        assert (
            entry["val"] == 1.5 and 0 <= entry["converged"] <= 1 and 1 <= entry["evaluations"] <= 6
        )
        assert entry["residual"] > 0 and entry["expansion"] > 0 and entry["step"] > 0
    assert "converged" not in result.history[0] and result.seconds > 0


def test_pretraining_learns_to_denoise(tiny_data, tmp_path: Path, monkeypatch) -> None:
    """Two epochs: the loss on batches of other volumes, before and after."""
    config = replace(
        changed(TINY, {"denoiser": DnCNN.Options(depth=3, width=16), "step": 1.0}),
        steps_per_epoch=25,
        max_pixels=1024,
        learning_rate=5e-3,
    )
    slices = TrainingSlices(tiny_data["test"], config)

    def loss(model: nn.Module) -> float:
        with torch.no_grad():
            return float(
                np.mean(
                    [
                        Denoising()(model, slices.batch(0, k), step(k, config))[1]["loss"]
                        for k in range(8)
                    ]
                )
            )

    interrupt_at(monkeypatch, 50)
    with pytest.raises(Interrupted):
        train(config, tiny_data["train"], tmp_path, progress=False)
    model = config.build()
    before = loss(model)
    load_checkpoint(tmp_path / CHECKPOINT, model, torch.optim.Adam(model.parameters()))
    # Most of this loss is fine detail that nobody can tell from noise on so few pixels.
    assert loss(model) < 0.97 * before


def test_the_same_configuration_gives_the_same_weights(tiny_data, whole: Tensor) -> None:
    assert torch.equal(weights(train(TINY, tiny_data["train"], progress=False).model), whole)
    other = train(replace(TINY, seed=1), tiny_data["train"], progress=False)
    assert not torch.equal(weights(other.model), whole)


@pytest.mark.parametrize("call", [1, 3, 4, 6, 7])
def test_an_interrupted_run_ends_with_the_same_weights(
    tiny_data, whole: Tensor, tmp_path: Path, monkeypatch, call: int
) -> None:
    """In either phase, at its first step and within an epoch."""
    with monkeypatch.context() as patch:
        interrupt_at(patch, call)
        with pytest.raises(Interrupted):
            train(TINY, tiny_data["train"], tmp_path, progress=False)
    again = train(TINY, tiny_data["train"], tmp_path, progress=False)
    assert torch.equal(weights(again.model), whole) and len(again.history) == 4


@pytest.mark.filterwarnings("ignore:backward solve:deqlab.core.errors.DeqlabWarning")
@pytest.mark.parametrize(
    "config",
    [
        changed(TINY, {"denoiser": replace(SMALL, lipschitz=0.9)}),
        changed(TINY, gradient=IMPLICIT, solver=Picard()),
        changed(of("de-prox"), hinge=0.0, jacobian=0.1),
        of("de-admm"),
        changed(of("mol"), gradient=IMPLICIT),
    ],
    ids=["lipschitz", "implicit", "de-prox", "de-admm", "mol"],
)
def test_an_interrupted_validation_too_in_every_kind_of_run(
    tiny_data, tmp_path: Path, config: TrainingConfig
) -> None:
    def stop(model: nn.Module) -> dict:
        raise Interrupted

    with pytest.raises(Interrupted):
        train(config, tiny_data["train"], tmp_path, stop, progress=False)
    resumed = train(config, tiny_data["train"], tmp_path, progress=False)
    straight = train(config, tiny_data["train"], progress=False)
    assert torch.equal(weights(resumed.model), weights(straight.model))
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in straight.history]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from deqlab.training import trainer
from deqlab.training.config import TrainingConfig

step, calls = trainer._step, iter(range(100))

def kill(*args):
    if next(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*args)

trainer._step = kill
card, files, folder = json.loads(sys.argv[1])
config, files = TrainingConfig.from_card(card), [Path(file) for file in files]
trainer.train(config, files, Path(folder), progress=False)
"""


def test_a_killed_process_continues_to_the_same_weights(
    tiny_data, whole: Tensor, tmp_path: Path
) -> None:
    """kill -9 in the middle of the second phase, then the same call."""
    arguments = json.dumps([TINY.card(), [str(file) for file in tiny_data["train"]], str(tmp_path)])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, arguments], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / CHECKPOINT).exists()
    again = train(TINY, tiny_data["train"], tmp_path, progress=False)
    assert torch.equal(weights(again.model), whole)


def test_a_finished_run_is_not_trained_again(
    tiny_data, whole: Tensor, tmp_path: Path, monkeypatch
) -> None:
    first = train(TINY, tiny_data["train"], tmp_path, progress=False)
    interrupt_at(monkeypatch, 0)
    second = train(TINY, tiny_data["train"], tmp_path, progress=False)
    assert torch.equal(weights(second.model), whole)
    assert second.history == first.history and second.seconds == first.seconds


def test_a_run_that_is_older_than_a_field_goes_on(tiny_data, tmp_path: Path) -> None:
    """It had what is now the default; another value is another run."""
    train(replace(TINY, epochs=1), tiny_data["train"], tmp_path, progress=False)
    path = tmp_path / "config.json"
    card = json.loads(path.read_text())
    del card["objective"]["jacobian"], card["model"]["weight"], card["noise"]
    path.write_text(json.dumps(card))
    assert (
        len(train(replace(TINY, epochs=1), tiny_data["train"], tmp_path, progress=False).history)
        == 3
    )
    with pytest.raises(InputError, match="objective.jacobian = 0.0, not 0.5"):
        other = changed(replace(TINY, epochs=1), jacobian=0.5)
        train(other, tiny_data["train"], tmp_path, progress=False)
    path.write_text("[]")
    with pytest.raises(InputError, match="config.json: .*no JSON object"):
        train(replace(TINY, epochs=1), tiny_data["train"], tmp_path, progress=False)


def test_a_folder_belongs_to_one_configuration(tiny_data, tmp_path: Path) -> None:
    config = BRIEF
    train(config, tiny_data["train"], tmp_path, progress=False)
    with pytest.raises(InputError, match="seed = 0, not 7"):
        train(replace(config, seed=7), tiny_data["train"], tmp_path, progress=False)
    with pytest.raises(InputError, match="model.denoiser.depth = 3, not 4"):
        train(
            changed(config, {"denoiser": replace(SMALL, depth=4)}),
            tiny_data["train"],
            tmp_path,
            progress=False,
        )


@pytest.mark.parametrize("name", [CHECKPOINT, "config.json"])
def test_a_file_cut_short_is_named(tiny_data, tmp_path: Path, name: str) -> None:
    config = BRIEF
    train(config, tiny_data["train"], tmp_path, progress=False)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=name):
        train(config, tiny_data["train"], tmp_path, progress=False)


def test_an_undersampled_file_is_refused_before_any_work(tiny_data, tmp_path: Path) -> None:
    masked = tmp_path / "masked.h5"
    masked.write_bytes(tiny_data["train"][0].read_bytes())
    with h5py.File(masked, "r+") as file:
        file["mask"] = np.arange(32) % 2 == 0
        file["kspace"][...] *= np.arange(32) % 2 == 0
        for name in [name for name in file if name.startswith("reconstruction")]:
            del file[name]
    with pytest.raises(InputError, match="masked.h5"):
        train(TINY, [*tiny_data["train"], masked], tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_step_without_a_finite_gradient_changes_nothing(tiny_data, monkeypatch) -> None:
    objective = EquilibriumError.__call__

    def broken(self, model, batch, at):
        loss, logs = objective(self, model, batch, at)
        return (loss * math.nan if at.number == 0 else loss), logs

    monkeypatch.setattr(EquilibriumError, "__call__", broken)
    config = BRIEF
    before = weights(config.build())
    seen = []
    taken = trainer._step

    def watched(fabric, model, *rest):
        start = weights(model)
        logs = taken(fabric, model, *rest)
        seen.append(torch.equal(weights(model), start))
        return logs

    monkeypatch.setattr(trainer, "_step", watched)
    result = train(replace(config, steps_per_epoch=2), tiny_data["train"], progress=False)
    assert seen == [True, False] and not torch.equal(weights(result.model), before)
    assert result.history[0]["skipped"] == 0.5 and bool(torch.isfinite(weights(result.model)).all())


def test_the_bound_holds_after_training(tiny_data) -> None:
    config = replace(changed(TINY, {"denoiser": replace(SMALL, lipschitz=0.5)}), learning_rate=0.1)
    convolutions = train(config, tiny_data["train"], progress=False).model.denoiser.convolutions()
    assert all(convolution_norm(c.weight) <= 0.5 ** (1 / 3) * (1 + 1e-5) for c in convolutions)


def test_the_hinge_counts_expansion_beyond_its_bound(tiny_data) -> None:
    """A tight bound is felt in the loss, a loose one is not, and neither changes what is logged as
    loss.
    """
    slices = TrainingSlices(tiny_data["train"], TINY)
    batch, losses, logged = slices.batch(1, 0), {}, set()
    torch.manual_seed(0)
    model = TINY.build()
    for bound, weight in ((0.1, 1.0), (0.1, 3.0), (100.0, 1.0), (0.1, 0.0)):
        objective = replace(TINY.objective, hinge=weight, hinge_bound=bound)
        loss, logs = objective(model, batch, step(0))
        losses[bound, weight] = loss.item()
        logged.add(logs["loss"])
    plain = losses[0.1, 0.0]
    assert logged == {plain} and losses[100.0, 1.0] == plain
    assert losses[0.1, 1.0] > plain
    assert losses[0.1, 3.0] - plain == pytest.approx(3 * (losses[0.1, 1.0] - plain), rel=1e-5)


@pytest.mark.parametrize("model", ["de-grad", "de-prox", "de-admm", "mol"])
def test_the_jacobian_is_penalised_by_its_weight(tiny_data, model: str) -> None:
    """What is added is the weight times what is logged; its gradient reaches the denoiser, and a
    step along it makes the Jacobian smaller.
    """
    config = changed(of(model), hinge=0.0)
    batch = TrainingSlices(tiny_data["train"], config).batch(1, 0)
    torch.manual_seed(0)
    network = config.build()
    for parameter in network.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)

    def both(weight: float) -> tuple[Tensor, dict]:
        return replace(config.objective, jacobian=weight)(network, batch, step(0, config))

    (plain, without), (loss, logs) = both(0.0), both(3.0)
    assert "jacobian" not in without and logs["jacobian"] > 0
    assert (loss - plain).item() == pytest.approx(3 * logs["jacobian"], rel=1e-4)
    weights = list(network.denoiser.parameters())
    slopes = torch.autograd.grad(loss - plain, weights)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes):
            weight -= 1e-3 * slope
    assert both(3.0)[1]["jacobian"] < logs["jacobian"]


def test_batches_depend_on_seed_phase_and_step_alone(tiny_data) -> None:
    slices = TrainingSlices(tiny_data["train"], TINY)
    first = slices.batch(1, 3)
    slices.batch(1, 4)
    same = TrainingSlices(tiny_data["train"], TINY).batch(1, 3)
    assert torch.equal(first.kspace, same.kspace) and torch.equal(
        first.operator.mask, same.operator.mask
    )
    assert first.kspace.shape == (2, 2, 16, 32)
    others = [
        slices.batch(1, 2),
        slices.batch(0, 3),
        TrainingSlices(tiny_data["train"], replace(TINY, seed=1)).batch(1, 3),
    ]
    assert not any(torch.equal(first.kspace, other.kspace) for other in others)


def test_training_may_start_from_a_trained_denoiser(tiny_data) -> None:
    start = create("de-prox", denoiser=SMALL, step=0.5)
    nn.init.normal_(start.denoiser.convolutions()[-1].weight, std=0.01)
    config = replace(BRIEF, learning_rate=1e-9)
    result = train(config, tiny_data["train"], denoiser=start.denoiser, progress=False)
    torch.testing.assert_close(weights(result.model.denoiser), weights(start.denoiser))
    other = create("de-prox", denoiser=replace(SMALL, width=5))
    with pytest.raises(InputError, match="width|shape|fit"):
        train(config, tiny_data["train"], denoiser=other.denoiser, progress=False)


def test_an_adaptive_ridge_may_start_from_a_ridge(tiny_data) -> None:
    """Its strengths are its own, and as many as its filters; the other way there is no start."""
    small = {"filters": (2, 3), "kernel": 3, "pieces": 4}
    start = create("de-ridge", denoiser={"name": "ridge", **small})
    nn.init.normal_(start.denoiser.kernels[0])
    start.after_step()
    network = {"name": "adaptive-ridge", **small, "groups": 2}
    options = METHODS.options("de-ridge-adaptive")(denoiser=network)
    config = replace(BRIEF, model=options, learning_rate=1e-9)
    result = train(config, tiny_data["train"], denoiser=start.denoiser, progress=False)
    found = result.model.denoiser
    torch.testing.assert_close(found.kernels[0], start.denoiser.kernels[0])
    nn.init.constant_(found.groups[1].depths, 0.4)
    again = train(config, tiny_data["train"], denoiser=found, progress=False)
    torch.testing.assert_close(again.model.denoiser.groups[1].depths, found.groups[1].depths)
    plain = replace(config, model=METHODS.options("de-ridge")(denoiser={"name": "ridge", **small}))
    with pytest.raises(InputError, match="denoiser: the trained one has another architecture"):
        train(plain, tiny_data["train"], denoiser=found, progress=False)


def test_a_model_without_a_denoiser_cannot_start_from_one(tiny_data) -> None:
    config = replace(TINY, model=METHODS.options("pdnet")(iterations=1), objective=None)
    start = create("de-prox", denoiser=SMALL).denoiser
    with pytest.raises(InputError, match="denoiser: PDNet has none that could start from it"):
        train(config, tiny_data["train"], denoiser=start, progress=False)


def test_a_configuration_survives_its_card() -> None:
    config = replace(
        TINY, acceleration=(3.0, 5.0), mask=("random", "equispaced"), center_fraction=0.1
    )
    assert TrainingConfig.from_card(json.loads(json.dumps(config.card()))) == config


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model": "cg-sense"}, "model: 'cg-sense' has nothing to train; one of de-prox, de-grad"),
        ({"loss": "l3"}, "loss: unknown loss 'l3', did you mean l2.; valid: l1, l2"),
        ({"objective": {"name": "equilibrium", "solver": "newton"}}, "unknown solver 'newton'"),
        ({"objective": {"name": "equilibrium", "gradient": "exact"}}, "unknown gradient 'exact'"),
        ({"precision": "8"}, "precision: '8'"),
        ({"device": "tpu"}, "device: 'tpu'"),
        (
            {"mask": ("radial",)},
            "unknown mask 'radial', did you mean random.; valid: random, equispaced",
        ),
        ({"epochs": 0}, "epochs: 0"),
        ({"batch_size": 0}, "batch_size: 0"),
        (
            {"objective": {"name": "equilibrium", "pretrain_epochs": -1}},
            "pretrain_epochs: -1 given, a whole number >= 0 needed",
        ),
        ({"noise": -0.1}, "noise: -0.1"),
        ({"objective": {"name": "equilibrium", "tolerance": -1.0}}, "tolerance: -1.0"),
        ({"learning_rate": 0.0}, "learning_rate: 0.0"),
        ({"clip": math.nan}, "clip: nan"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(TINY, **changes)
