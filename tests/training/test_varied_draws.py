"""A network learns from draws as it learns from files; in bfloat16 too, and in two stages from the
shell.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deqlab.app.cli import main
from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions
from deqlab.data.varied.draws import Varied, VariedOptions
from deqlab.data.varied.varied_measurements import Measurements
from deqlab.networks import DemodulatedUNet
from deqlab.recon import load
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad
from deqlab.training.config import TrainingConfig
from deqlab.training.draw import Draws, TrainingSlices
from deqlab.training.objectives import EquilibriumError
from deqlab.training.trainer import train
from deqlab.training.varied_draws import VariedDraws

CONFIG = TrainingConfig(
    model=MeasuredDEGrad.Options(denoiser=DemodulatedUNet.Options(widths=(4, 6), wide=(2.0,))),
    objective=EquilibriumError(pretrain_epochs=1, max_evaluations=4, keep=0.3, shortest=2),
    epochs=1,
    steps_per_epoch=2,
    device="cpu",
)


@pytest.fixture
def varied(monkeypatch: pytest.MonkeyPatch) -> Varied:
    """Draws of one disc, 24x24 pixels and two coils."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    pair = np.stack((np.hypot(y, x) < 0.8, 0 * x)).astype(np.float16)
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: Anatomies([pair]))
    measurements = Measurements(sizes=(24,), coils=(2,), espirit=0.0)
    return Varied(VariedOptions(measurements=measurements, window=16))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_batches_are_windows_or_scans_by_seed_stream_and_step(varied: Varied) -> None:
    draws = VariedDraws(varied, CONFIG)
    window, scan = draws.batch(0, 3), draws.batch(1, 3)
    assert window.reference.shape == (2, 16, 16) and window.kspace.shape == (2, 1, 16, 16)
    assert scan.reference.shape == (2, 24, 24) and scan.kspace.shape == (2, 2, 24, 24)
    assert torch.equal(draws.batch(1, 3).kspace, scan.kspace)
    other = VariedDraws(varied, replace(CONFIG, seed=1)).batch(1, 3)
    assert not torch.equal(other.kspace, scan.kspace)
    assert isinstance(draws, Draws)


def test_files_are_draws_too(tiny_data) -> None:
    slices = TrainingSlices(tiny_data["train"], CONFIG)
    assert isinstance(slices, Draws)
    by_files, by_draws = (
        weights(train(CONFIG, data, progress=False).model) for data in (tiny_data["train"], slices)
    )
    assert torch.equal(by_files, by_draws)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_training_on_draws_repeats_in_either_precision(varied: Varied, precision: str) -> None:
    """The convolutions run in bfloat16; the state, the weights and their gradients are float32."""
    config = replace(CONFIG, precision=precision, learning_rate=5e-3)
    draws, seen = VariedDraws(varied, config), []

    class Watched(EquilibriumError):
        def __call__(self, model, batch, step):
            def note(module, inputs, output):
                seen.append(output.dtype)

            hooks = [
                model.denoiser.network.middle.first.register_forward_hook(note),
                model.denoiser.register_forward_hook(note),
            ]
            solved = model.equilibrium(batch.kspace, batch.operator)
            assert solved.value.dtype == torch.complex64
            assert bool(torch.isfinite(solved.residual).all())
            for hook in hooks:
                hook.remove()
            return super().__call__(model, batch, step)

    objective = Watched(**vars(config.objective))
    watched = replace(config)
    object.__setattr__(watched, "objective", objective)
    result = train(watched, draws, progress=False)
    inside = torch.bfloat16 if precision == "bf16" else torch.float32
    assert set(seen) == {inside, torch.complex64}
    assert [entry["skipped"] for entry in result.history] == [0, 0]
    assert result.history[1]["noise left"] > 0 and weights(result.model).dtype == torch.float32
    again = train(config, draws, progress=False)
    assert torch.equal(weights(again.model), weights(result.model))
    torch.manual_seed(config.seed)
    assert not torch.allclose(weights(result.model), weights(config.build()), atol=1e-4)


def readme_commands(repository: Path) -> list[list[str]]:
    """The two stages as the README has them."""
    page = (repository / "README.md").read_text(encoding="utf-8")
    block = (
        page.partition("## Train for scans of any kind")[2]
        .partition("```sh\n")[2]
        .partition("```")[0]
    )
    lines = block.replace("\\\n", " ").splitlines()
    return [line.split()[1:] for line in lines if line.startswith("deqlab train")]


def test_two_stages_from_the_shell(varied, repository: Path, tmp_path: Path, monkeypatch) -> None:
    """The commands of the page, at a tiny size: the second stage starts from the first's
    weights.
    """
    monkeypatch.chdir(tmp_path)
    stages = readme_commands(repository)
    assert len(stages) == 2
    tiny = "--epochs 1 --steps-per-epoch 2 --batch-size 1 --threads 1 --set denoiser.widths=4,6"
    tiny += " --set data.measurements.sizes=24, --set data.window=16"
    for words in stages:
        named = [word for word in words if not word.endswith(".nii.gz") and word != "--anatomy"]
        for flag in ("--epochs", "--steps-per-epoch", "--batch-size", "--threads", "--device"):
            if flag in named:
                at = named.index(flag)
                named[at : at + 2] = []
        assert main([*named, *tiny.split(), "--device", "cpu"]) == 0
    first, second = (
        tmp_path / words[words.index("--out") + 1] / "de-grad-measured.json" for words in stages
    )
    card = json.loads(second.read_text())
    assert card["training"]["objective"]["name"] == "equilibrium" and card["steps"]["train"] == 2
    assert json.loads(first.read_text())["training"]["objective"]["name"] == "denoising"
    assert card["denoiser_from"]["sha256"] == json.loads(first.read_text())["sha256"]
    assert card["data"]["varied"]["measurements"]["sizes"] == [24]
    assert isinstance(load(second).denoiser, DemodulatedUNet)


@pytest.mark.parametrize(
    "words, told",
    [
        ("--data varied builtin", "--data varied: stands alone"),
        ("--anatomy brain.nii.gz", "--anatomy: is for --data varied alone"),
        ("--data varied --noise 0.1", "--noise: is not for --data varied"),
        ("--data varied --max-pixels 99", "--set data.measurements.pixels"),
        ("--data varied --set data.imagse.leaves=1", "did you mean images?"),
        ("--data varied --set data.images.leaves=3", "leaves: 3 given"),
        ("--data varied --anatomy none.nii.gz", "none.nii.gz: no such file"),
        ("--set data.window=3", "'data'"),
        ("--objective denoise", "did you mean denoising?"),
    ],
)
def test_what_does_not_go_together_is_refused(words: str, told: str, capsys, tmp_path) -> None:
    out = tmp_path / "run"
    assert main(["train", *words.split(), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1 and not out.exists()
