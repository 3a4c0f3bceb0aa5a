"""Several processes train as one: the same draws between them, the same weights but for rounding,
and one run that is continued after one of them was killed.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing import ProcessExitedException
from torch.testing import assert_close

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.core.rank import Rank
from deqlab.data.sample import Batch
from deqlab.data.truth import KnownTruth
from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions
from deqlab.data.varied.draws import Varied, VariedOptions
from deqlab.data.varied.varied_measurements import Measurements
from deqlab.losses import L1Loss
from deqlab.networks import DnCNN
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.training.config import TrainingConfig
from deqlab.training.devices import fabric_of
from deqlab.training.draw import TrainingSlices
from deqlab.training.objectives import Denoising, EquilibriumError, Step
from deqlab.training.trainer import CHECKPOINT, Trained, train
from deqlab.training.varied_draws import VariedDraws

# Everything that draws is on.
CONFIG = TrainingConfig(
    model=DEGrad.Options(denoiser=DnCNN.Options(depth=3, width=4, lipschitz=0.9), step=0.5),
    objective=EquilibriumError(
        pretrain_epochs=1, max_evaluations=4, hinge_iterations=1, jacobian=0.1, keep=0.3, shortest=2
    ),
    epochs=2,
    steps_per_epoch=3,
    max_pixels=512,
    learning_rate=2e-3,
    average=0.9,
    device="cpu",
)
BOTH = Rank(0, 2), Rank(1, 2)
NEVER = -1


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@dataclass
class Spoiled:
    """Draws whose last sample of step 1 is no number, and of which the second of two processes sees
    no step `last` of the second phase: it is killed, or for None refuses the first one.
    """

    slices: TrainingSlices
    last: int | None

    def batch(self, stream: int, step: int, rank: Rank = Rank()) -> Batch:
        if rank.index == 1 and stream == 1 and step == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        if rank.index == 1 and self.last is None:
            raise InputError(f"scan.h5: has {torch.get_num_threads()} of 2 slices")
        batch = self.slices.batch(stream, step, rank)
        if stream == 1 and step == 1 and rank.index == rank.of - 1:
            batch.kspace[-1] = math.nan
        return batch


def noted(path: Path, model: nn.Module) -> dict[str, float]:
    """A validation of which every call leaves a line."""
    with path.open("a") as file:
        file.write(f"{model.training}\n")
    return {"norm": float(weights(model).norm())}


def test_two_processes_train_as_one_and_go_on_after_a_kill(tiny_data, tmp_path: Path) -> None:
    """In the last epoch, while the first process waits for the second."""
    slices, folder, notes = (
        TrainingSlices(tiny_data["train"], CONFIG),
        *map(tmp_path.joinpath, "ab"),
    )

    def run(folder: Path, devices: int, last: int) -> Trained:
        draws, validate = Spoiled(slices, last), partial(noted, notes)
        return train(CONFIG, draws, folder, validate, progress=False, devices=devices)

    one = run(tmp_path / "one", 1, NEVER)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        run(folder, 2, last=4)
    assert (folder / CHECKPOINT).exists()
    two = run(folder, 2, NEVER)
    torch.manual_seed(CONFIG.seed)
    moved = (weights(one.model) - weights(CONFIG.build())).norm()
    assert (weights(two.model) - weights(one.model)).norm() < 1e-4 * moved
    # A gradient that one process cannot use is used by none.
    assert [entry["skipped"] for entry in two.history] == pytest.approx([0, 1 / 3, 0])
    for ours, theirs in zip(two.history, one.history):
        assert ours.pop("phase") == theirs.pop("phase")
        assert ours == pytest.approx(theirs, rel=1e-4, nan_ok=True)
    # The first process alone validates, once an epoch, and writes.
    assert notes.read_text().split() == ["False"] * 4
    assert {path.name for path in folder.iterdir()} == {"config.json", CHECKPOINT}
    assert torch.equal(weights(run(folder, 1, NEVER).model), weights(two.model))


def test_bad_input_of_one_process_is_bad_input(tiny_data, monkeypatch) -> None:
    """And the threads of the CPU are shared."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    with pytest.raises(InputError) as error:
        train(CONFIG, Spoiled(TrainingSlices(tiny_data["train"], CONFIG), None), devices=2)
    assert str(error.value) == "scan.h5: has 3 of 2 slices"


ORPHANED = """
import os, signal, time
from multiprocessing import get_context
from types import SimpleNamespace
from deqlab.training.devices import _in_process

work = lambda fabric: time.sleep(120)
first = SimpleNamespace(global_rank=0)
get_context("fork").Process(target=_in_process, args=(work, 1, first)).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_ends_with_the_one_that_started_it() -> None:
    """Or it would go on to write beside the run that continues."""
    # The output ends when the last process that holds it has ended.
    ended = subprocess.run([sys.executable, "-c", ORPHANED], capture_output=True, timeout=90)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize("devices", [0, -1, 3])
def test_devices_that_cannot_share_a_batch_are_refused(devices: int, capsys) -> None:
    with pytest.raises(InputError, match=f"devices: {devices} given, .* needed"):
        train(CONFIG, [], devices=devices)
    assert main(["train", "--device", "cpu", "--devices", str(devices)]) == 2
    assert f"devices: {devices} given" in capsys.readouterr().err


def test_gpus_that_are_not_there_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"devices: 2 given, 1 to 1 needed \(cuda\)"):
        fabric_of(replace(CONFIG, device="cuda"), 2)


def test_the_shares_of_a_batch_are_the_batch(tiny_data, monkeypatch) -> None:
    config = replace(CONFIG, batch_size=4)
    disc = np.stack((np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]) < 0.8, np.zeros((32, 32))))
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: Anatomies([disc]))
    measurements = Measurements(sizes=(24,), coils=(2,), espirit=0.0)
    varied = Varied(VariedOptions(measurements=measurements, window=16))
    for draws in (TrainingSlices(tiny_data["train"], config), VariedDraws(varied, config)):
        for stream in (0, 1):
            whole = draws.batch(stream, 3)
            parts = [draws.batch(stream, 3, rank) for rank in BOTH]
            assert torch.equal(torch.cat([part.kspace for part in parts]), whole.kspace)
            assert [part.file for part in parts] == [whole.file[:2], whole.file[2:]]
            assert not torch.equal(parts[0].kspace, parts[1].kspace)


@pytest.mark.parametrize("objective", [Denoising(), CONFIG.objective], ids=["denoising", "all"])
def test_the_mean_of_the_shares_gradients_is_the_gradient(measure, objective) -> None:
    """What an objective draws for samples is shared out as they are; in double precision."""
    data = measure(4, size=(8, 9))
    reference = torch.randn_like(data.A.H(data.kspace))
    torch.manual_seed(0)
    model = CONFIG.build().double()
    for parameter in model.denoiser.parameters():
        nn.init.normal_(parameter, std=0.1)

    def gradient(rank: Rank) -> Tensor:
        rows = list(rank.part(range(4)))
        batch = Batch(
            kspace=data.kspace[rows],
            operator=data.A.select(torch.tensor(rows)),
            scale=torch.ones(len(rows)),
            file=["a"] * len(rows),
            slice=rows,
            contrast=[""] * len(rows),
            crop=(8, 9),
            truth=KnownTruth(reference=reference[rows]),
        )
        model.zero_grad()
        objective(model, batch, Step(0, 0, L1Loss(), rank))[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    first, second = (gradient(rank) for rank in BOTH)
    assert_close((first + second) / 2, gradient(Rank()), rtol=1e-8, atol=1e-12)
    assert not torch.allclose(first, second, rtol=0.1)
