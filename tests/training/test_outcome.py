"""A run that learns nothing, or diverges, is an error; what it had learned before is kept, and an
empty slice spoils nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.networks import DnCNN
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.training import trainer
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import TrainingSlices
from deqlab.training.objectives import EquilibriumError
from deqlab.training.outcome import refuse_diverged
from deqlab.training.trainer import CHECKPOINT, train

BRIEF = TrainingConfig(
    model=DEGrad.Options(denoiser=DnCNN.Options(depth=3, width=4), step=0.5),
    objective=EquilibriumError(pretrain_epochs=0, max_evaluations=6, hinge_iterations=2),
    epochs=2,
    steps_per_epoch=4,
    max_pixels=512,
    device="cpu",
)
SET = ["denoiser.depth=3", "denoiser.width=4", "objective.max_evaluations=6"]
WORDS = ["--set", *SET, "objective.pretrain_epochs=0", "--epochs", "1", "--steps-per-epoch", "4"]
WORDS += ["--max-pixels", "512", "--device", "cpu"]


def spoil_steps(monkeypatch: pytest.MonkeyPatch, spoiled) -> None:
    """Let the loss of the steps for which spoiled(number) holds be NaN."""
    objective = EquilibriumError.__call__

    def broken(self, model, batch, at):
        loss, logs = objective(self, model, batch, at)
        return (loss * math.nan if spoiled(at.number) else loss), logs

    monkeypatch.setattr(EquilibriumError, "__call__", broken)


def test_an_epoch_of_skipped_steps_is_an_error_and_keeps_what_was(
    tiny_data, tmp_path: Path, monkeypatch
) -> None:
    spoil_steps(monkeypatch, lambda number: number >= 4)  # from the second epoch on
    with pytest.raises(InputError, match="epoch 2: none of its 4 steps had a finite gradient"):
        train(BRIEF, tiny_data["train"], tmp_path, progress=False)
    monkeypatch.undo()
    resumed = train(BRIEF, tiny_data["train"], tmp_path, progress=False)
    assert [entry["epoch"] for entry in resumed.history] == [1, 2]
    assert resumed.history[0]["skipped"] == 0


def test_most_steps_skipped_is_divergence_and_a_few_are_not(tiny_data, monkeypatch) -> None:
    spoil_steps(monkeypatch, lambda number: number % 4 > 0)
    with pytest.raises(InputError, match="diverged, 3 of its 4 steps"):
        train(BRIEF, tiny_data["train"], progress=False)
    monkeypatch.undo()
    spoil_steps(monkeypatch, lambda number: number % 4 == 0)
    assert train(BRIEF, tiny_data["train"], progress=False).history[0]["skipped"] == 0.25


@pytest.mark.parametrize(
    "losses, first, words",
    [
        ([1.0, 2.0, 3e3, 4e3, 5e3], 1.0, "its loss is 3e"),
        ([math.nan] * 3 + [1.0], 1.0, "3 of its 4 steps"),
        ([1.0, 0.5, 1e9], 1.0, None),  # one outlier
        ([0.1, 0.1, 0.1], 0.0, None),
    ],
)
def test_a_loss_far_beyond_its_beginning_is_divergence(losses, first, words) -> None:
    logs = [{"loss": loss, "skipped": 0.0} for loss in losses]
    if words is None:
        refuse_diverged("train", 1, logs, first)
        return
    with pytest.raises(InputError, match=f"phase train, epoch 1: diverged, {words}"):
        refuse_diverged("train", 1, logs, first)


@pytest.mark.parametrize("rate", ["inf", "nan", "1e12"])
def test_the_shell_writes_no_weights_of_a_run_that_failed(
    tiny_data, tmp_path: Path, capsys, rate: str
) -> None:
    files = list(map(str, tiny_data["train"]))
    out = tmp_path / "run"
    status = main(["train", "--data", *files, "--out", str(out), "--learning-rate", rate, *WORDS])
    line = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and "learning_rate" in line
    assert not list(tmp_path.rglob("de-grad.safetensors"))


def test_a_failed_validation_loses_no_epoch(tiny_data, tmp_path: Path, monkeypatch) -> None:
    """The next call validates that epoch first, and the log is that of an undisturbed run."""
    steps, taken = [], trainer._step
    monkeypatch.setattr(trainer, "_step", lambda *a: steps.append(1) or taken(*a))

    def fails(model) -> dict:
        assert (tmp_path / CHECKPOINT).exists()
        raise OSError("no such file")

    with pytest.raises(OSError):
        train(BRIEF, tiny_data["train"], tmp_path, fails, progress=False)
    assert len(steps) == 4
    says = lambda model: {"val": float(next(model.parameters()).detach().abs().sum())}
    resumed = train(BRIEF, tiny_data["train"], tmp_path, says, progress=False)
    assert len(steps) == 8
    straight = train(BRIEF, tiny_data["train"], None, says, progress=False)
    keep = lambda history: [(entry["loss"], entry["val"]) for entry in history]
    assert keep(resumed.history) == keep(straight.history)


@pytest.mark.parametrize("empty", [[0], [1]])
def test_an_empty_slice_gives_its_place_to_another(tiny_data, tmp_path: Path, empty) -> None:
    source = Path(tiny_data["train"][0]).read_bytes()
    file = tmp_path / "holes.h5"
    file.write_bytes(source)
    with h5py.File(file, "r+") as opened:
        count = len(opened["kspace"])
        for index in empty:
            opened["kspace"][index] = 0
    assert count > len(empty)
    config = replace(BRIEF, noise=0.0, batch_size=3)
    slices = TrainingSlices([file], config)
    seen = set()
    for step in range(12):
        batch = slices.batch(1, step)
        assert bool(batch.kspace.flatten(1).any(1).all())
        seen |= set(batch.slice)
        assert torch.equal(batch.kspace, slices.batch(1, step).kspace)
    assert not seen & set(empty) and seen
    result = train(config, [file], progress=False)
    assert all(entry["skipped"] == 0 for entry in result.history)


def test_a_file_of_nothing_is_named(tiny_data, tmp_path: Path) -> None:
    file = tmp_path / "nothing.h5"
    file.write_bytes(Path(tiny_data["train"][0]).read_bytes())
    with h5py.File(file, "r+") as opened:
        opened["kspace"][...] = np.zeros_like(opened["kspace"])
    with pytest.raises(InputError, match="nothing.h5: nothing was measured"):
        train(replace(BRIEF, noise=0.0), [file], progress=False)


def test_training_says_what_it_does(tiny_data, tmp_path: Path, capsys) -> None:
    """A summary first, then a line an epoch, no bars in a log; again, that nothing is left."""
    files, out = list(map(str, tiny_data["train"])), tmp_path / "run"
    words = ["train", "--data", *files, "--out", str(out), *WORDS]
    assert main(words) == 0
    first, errors = capsys.readouterr()
    assert first.splitlines()[0].startswith("de-grad: ") and "steps: " in first.splitlines()[0]
    assert f"{len(files)} files" in first.splitlines()[0]
    assert "\r" not in first + errors and "goes on" not in first
    assert main(words) == 0
    again, _ = capsys.readouterr()
    assert "1 of 1 epochs are done, so nothing is left to train" in again
