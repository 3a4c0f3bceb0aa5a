"""Averaged weights are what training returns, validates and keeps, and a resumed run has the same;
the learning rate rises in the first steps where it is told to.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.networks import DnCNN
from deqlab.networks.convolution_norm import convolution_norm
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.training import trainer
from deqlab.training.config import TrainingConfig
from deqlab.training.objectives import EquilibriumError
from deqlab.training.trainer import CHECKPOINT, train

SMALL = DnCNN.Options(depth=2, width=4)
CONFIG = TrainingConfig(
    model=DEGrad.Options(denoiser=SMALL, step=0.5),
    objective=EquilibriumError(pretrain_epochs=1, max_evaluations=3, hinge=0.0),
    epochs=2,
    steps_per_epoch=2,
    max_pixels=512,
    learning_rate=1e-2,
    average=0.9,
    device="cpu",
)


class Interrupted(Exception):
    """Raised in place of a kill."""


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.fixture
def after_steps(monkeypatch) -> list[Tensor]:
    """The weights after each step of the runs of a test."""
    found, step = [], trainer._step

    def watched(fabric, model, *rest):
        logs = step(fabric, model, *rest)
        found.append(weights(model).clone())
        return logs

    monkeypatch.setattr(trainer, "_step", watched)
    return found


def test_the_average_of_all_steps_is_returned(tiny_data, after_steps: list[Tensor]) -> None:
    seen = []
    result = train(
        CONFIG,
        tiny_data["train"],
        validate=lambda model: seen.append(weights(model).clone()) or {},
        progress=False,
    )
    torch.manual_seed(CONFIG.seed)
    average, averages = weights(CONFIG.build()), []
    for number, own in enumerate(after_steps):
        decay = min(0.9, (number + 1) / (number + 10))
        average = decay * average + (1 - decay) * own
        averages.append(average)
    assert len(after_steps) == 6
    torch.testing.assert_close(weights(result.model), averages[-1])
    assert not torch.allclose(averages[-1], after_steps[-1], rtol=1e-3)
    # Validation sees the average too; the steps after it go on from the weights themselves.
    torch.testing.assert_close(torch.stack(seen), torch.stack([averages[3], averages[5]]))


def test_it_changes_no_step(tiny_data, after_steps: list[Tensor]) -> None:
    train(CONFIG, tiny_data["train"], validate=lambda model: {}, progress=False)
    averaged = list(after_steps)
    after_steps.clear()
    plain = train(replace(CONFIG, average=0.0), tiny_data["train"], progress=False)
    assert all(torch.equal(a, b) for a, b in zip(averaged, after_steps))
    assert torch.equal(weights(plain.model), after_steps[-1])


def test_a_resumed_run_ends_with_the_same_average(tiny_data, tmp_path: Path) -> None:
    whole = weights(train(CONFIG, tiny_data["train"], progress=False).model)

    def stop(model: nn.Module) -> dict:
        raise Interrupted

    # Stopped after the first epoch, and within the validation of the second.
    with pytest.raises(Interrupted):
        train(CONFIG, tiny_data["train"], tmp_path, stop, progress=False)
    resumed = train(CONFIG, tiny_data["train"], tmp_path, progress=False)
    finished = train(CONFIG, tiny_data["train"], tmp_path, progress=False)
    assert torch.equal(weights(resumed.model), whole)
    assert torch.equal(weights(finished.model), whole)


def test_a_checkpoint_without_an_average_is_refused(tiny_data, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    train(CONFIG, tiny_data["train"], tmp_path, progress=False)
    with safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        progress = file.metadata()
    kept = {name: t for name, t in tensors.items() if not name.startswith("average.")}
    assert len(kept) < len(tensors)
    save_file(kept, tmp_path / CHECKPOINT, progress)
    with pytest.raises(InputError, match="holds no average of"):
        train(CONFIG, tiny_data["train"], tmp_path, progress=False)


def test_an_average_keeps_what_the_denoiser_promises(tiny_data) -> None:
    bounded = replace(CONFIG.model, denoiser=replace(SMALL, lipschitz=0.5))
    model = train(replace(CONFIG, model=bounded), tiny_data["train"], progress=False).model
    for convolution in model.denoiser.convolutions():
        assert convolution_norm(convolution.weight) <= 0.5**0.5 * (1 + 1e-5)


def test_the_rate_rises_in_the_first_steps_of_a_phase(tiny_data, monkeypatch) -> None:
    """From one step to the next by the same amount, but for the cosine; then as without."""
    rates: list[float] = []
    set_rate = trainer._set_rate

    def watched(optimizer, rate, share):
        set_rate(optimizer, rate, share)
        rates.append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(trainer, "_set_rate", watched)
    found = {}
    for steps in (0, 2):
        rates.clear()
        train(replace(CONFIG, warm_up=steps), tiny_data["train"], progress=False)
        found[steps] = list(rates)
    ratios = [warm / plain for warm, plain in zip(found[2], found[0])]
    assert ratios == pytest.approx([1 / 3, 2 / 3, 1 / 3, 2 / 3, 1, 1])
    assert found[0][0] == CONFIG.learning_rate
