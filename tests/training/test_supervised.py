"""The supervised objective: the last image or all of them, with checkpoints or without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data.sample import Batch
from deqlab.losses import L1Loss
from deqlab.recon import METHODS, create
from deqlab.training import trainer
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import TrainingSlices
from deqlab.training.objectives import Step, Supervised
from deqlab.training.objectives.supervised import growing
from deqlab.training.trainer import train

RIM = {"name": "rim", "iterations": 3, "width": 4}
CONFIG = TrainingConfig(model=RIM, epochs=2, steps_per_epoch=2, batch_size=1, device="cpu")
STEP = Step(0, 0, L1Loss())


@pytest.fixture
def batch(tiny_data) -> Batch:
    return TrainingSlices(tiny_data["train"], CONFIG).batch(1, 0)


def test_weights_grow_by_one_factor_to_one() -> None:
    assert growing(0.25, 3) == pytest.approx([0.25, 0.5, 1])
    assert growing(1, 4) == [1, 1, 1, 1] and growing(0.1, 1) == [1]


@pytest.mark.parametrize("first", [0.0, 0.1, 1.0])
def test_the_loss_is_the_weighed_mean_over_the_steps(batch: Batch, first: float) -> None:
    model = create(**RIM)
    _, *images = model.images(batch.kspace, batch.operator)
    losses = [STEP.loss(image, batch.known("reference")) for image in images]
    weights = [0.0, 0.0, 1.0] if first == 0 else growing(first, 3)
    expected = sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)
    loss, logs = Supervised(first=first)(model, batch, STEP)
    torch.testing.assert_close(loss, expected)
    assert logs["loss"] == pytest.approx(losses[-1].item())


def test_a_recurrent_network_learns_from_every_step() -> None:
    assert METHODS["rim"].trained_by == "every-step"
    assert isinstance(CONFIG.objective, Supervised) and CONFIG.objective.first == 0.1


@pytest.mark.parametrize("chosen", [{"checkpointing": True}, {"first": 0.5}], ids=str)
def test_what_asks_for_steps_is_refused_where_there_are_none(chosen: dict) -> None:
    config = replace(CONFIG, model="unet", objective={"name": "supervised", **chosen})
    with pytest.raises(InputError) as error:
        config.build()
    (name, value), *_ = chosen.items()
    told = f"{name}: {value} given, but UNetOnImages gives its image at once and has no steps"
    assert str(error.value) == told


class Interrupted(Exception):
    pass


def test_a_run_with_checkpoints_goes_on_where_it_was_interrupted(
    tiny_data, tmp_path, monkeypatch
) -> None:
    config = replace(CONFIG, objective={"name": "every-step", "checkpointing": True})
    plain = train(CONFIG, tiny_data["train"], progress=False).model
    step, calls = trainer._step, iter(range(100))

    def stop(*values):
        if next(calls) == 3:
            raise Interrupted
        return step(*values)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", stop)
        with pytest.raises(Interrupted):
            train(config, tiny_data["train"], tmp_path, progress=False)
    resumed = train(config, tiny_data["train"], tmp_path, progress=False).model
    straight = train(config, tiny_data["train"], progress=False).model
    assert resumed.checkpointing and not plain.checkpointing
    for one, other, third in zip(*(m.parameters() for m in (resumed, straight, plain))):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, third)
