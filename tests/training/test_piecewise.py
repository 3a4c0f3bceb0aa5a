"""Piece by piece: one phase for each, earlier pieces frozen and later ones untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.losses import L1Loss
from deqlab.training import trainer
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import TrainingSlices
from deqlab.training.objectives import Piecewise, Step
from deqlab.training.trainer import train

KIKI = {"name": "kiki-net", "iterations": 3, "depth": 1, "width": 4}
CONFIG = TrainingConfig(model=KIKI, epochs=1, steps_per_epoch=2, batch_size=1, device="cpu")


def pieces(model: nn.Module) -> list[torch.Tensor]:
    """The weights of each network as one vector."""
    return [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in model.networks]


def test_there_is_a_phase_for_each_piece() -> None:
    assert isinstance(CONFIG.objective, Piecewise)
    assert [(phase.name, phase.epochs) for phase in CONFIG.phases()] == [
        ("piece 1", 1),
        ("piece 2", 1),
        ("piece 3", 1),
    ]
    alone = replace(CONFIG, objective={"name": "piecewise", "piece": 2})
    assert [phase.name for phase in alone.phases()] == ["piece 2"]


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_a_phase_changes_its_piece_and_no_other(tiny_data, piece: int) -> None:
    torch.manual_seed(CONFIG.seed)
    before = pieces(CONFIG.build())
    config = replace(CONFIG, objective={"name": "piecewise", "piece": piece})
    after = pieces(train(config, tiny_data["train"], progress=False).model)
    changed = [not torch.equal(one, other) for one, other in zip(before, after)]
    assert changed == [index + 1 == piece for index in range(3)]


def test_the_loss_is_that_of_the_image_after_the_piece(tiny_data) -> None:
    batch, model = TrainingSlices(tiny_data["train"], CONFIG).batch(1, 0), CONFIG.build()
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    images = list(model.images(batch.kspace, batch.operator))
    for piece in (1, 2, 3, None):
        loss, logs = Piecewise(piece=piece)(model, batch, Step(0, 0, L1Loss()))
        expected = L1Loss()(images[piece or 3], batch.known("reference"))
        torch.testing.assert_close(loss, expected)
        assert logs == {"loss": loss.item()}


def test_all_pieces_are_learned_and_a_run_goes_on(tiny_data, tmp_path, monkeypatch) -> None:
    """Interrupted in the second phase."""
    whole = train(CONFIG, tiny_data["train"], progress=False)
    assert [entry["phase"] for entry in whole.history] == ["piece 1", "piece 2", "piece 3"]
    step, calls = trainer._step, iter(range(100))

    def stop(*values):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return step(*values)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, tiny_data["train"], tmp_path, progress=False)
    resumed = train(CONFIG, tiny_data["train"], tmp_path, progress=False)
    assert len(resumed.history) == 3
    for one, other in zip(pieces(resumed.model), pieces(whole.model)):
        assert torch.equal(one, other)


def test_other_unrolled_networks_may_be_trained_so_too(tiny_data) -> None:
    model = {"name": "cascade-net", "iterations": 2, "denoiser": {"name": "dncnn", "depth": 2}}
    config = replace(CONFIG, model=model, objective="piecewise")
    history = train(config, tiny_data["train"], progress=False).history
    assert [entry["phase"] for entry in history] == ["piece 1", "piece 2"]


@pytest.mark.parametrize(
    ("model", "objective", "told"),
    [
        ("unet", "piecewise", "piecewise: UNetOnImages gives its image at once and has no pieces"),
        (KIKI, {"name": "piecewise", "piece": 4}, "piece: 4 given, but KIKINet has 3 of them"),
    ],
)
def test_a_model_without_the_piece_is_refused(model, objective, told: str) -> None:
    with pytest.raises(InputError) as error:
        replace(CONFIG, model=model, objective=objective).build()
    assert str(error.value) == told
