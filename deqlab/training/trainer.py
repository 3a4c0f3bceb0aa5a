"""The training loop: two phases, one step function, a checkpoint after every epoch, exact resume
after a kill.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.core.rank import Rank
from deqlab.data.sample import Batch
from deqlab.networks.protocol import ExtendingDenoiser
from deqlab.recon.base import Model
from deqlab.training.average import WeightAverage
from deqlab.training.checkpoint import load_checkpoint, save_checkpoint
from deqlab.training.config import TrainingConfig
from deqlab.training.devices import average_gradients, average_logs, fabric_of, launch
from deqlab.training.draw import Draws, TrainingSlices
from deqlab.training.objectives.protocol import Objective, Step
from deqlab.training.outcome import first_loss, refuse_diverged

CHECKPOINT = "checkpoint.safetensors"

Validate = Callable[[Model], dict[str, float]]


@dataclass
class Trained:
    """A trained model, the log of every epoch, and the seconds that training took, interruptions
    left out.
    """

    model: Model
    history: list[dict]
    seconds: float


def train(
    config: TrainingConfig,
    data: Sequence[Path] | Draws,
    folder: Path | None = None,
    validate: Validate | None = None,
    progress: bool = True,
    denoiser: nn.Module | None = None,
    devices: int = 1,
) -> Trained:
    """The model of `config`, trained on fully sampled files, or on whatever draws batches.

    folder: where the checkpoint lives; training continues from it, to the weights an uninterrupted
        run would have given (same machine, CPU, same number of threads and devices). None keeps
        nothing.
    validate: called with the model after every epoch of the last phase, when that epoch is safe in
        the checkpoint; its numbers join the log.
    denoiser: trained weights to start from, of the architecture that the configuration names.
    devices: how many GPUs, or processes of the CPU, share every batch: the steps are those of one
        but for rounding, so that a run may go on with another number. With several, a script that
        calls this needs the guard `if __name__ == "__main__":`, and what it hands over is pickled.
    Raises InputError before any work where a file cannot be trained on, or where `folder` holds
    another configuration's run; and after an epoch without any finite gradient, or whose loss has
    diverged, which leaves the checkpoint as it was before.
    """
    fabric = fabric_of(config, devices)
    if devices == 1:
        return _run(config, data, folder, validate, progress, denoiser, fabric)
    with nullcontext(folder) if folder is not None else TemporaryDirectory() as name:
        kept = Path(name)
        run = partial(_run, config, data, kept, validate, progress, denoiser)
        launch(fabric, run)
        # Nothing is left to train: what the processes have written is read.
        return run(fabric_of(config))


def _run(
    config: TrainingConfig,
    data: Sequence[Path] | Draws,
    folder: Path | None,
    validate: Validate | None,
    progress: bool,
    denoiser: nn.Module | None,
    fabric: Fabric,
) -> Trained:
    """What `train` says, in one of its processes. The first alone validates, shows progress and
    writes checkpoints.
    """
    rank = Rank(fabric.global_rank, fabric.world_size)
    first = rank.index == 0
    draws = data if isinstance(data, Draws) else TrainingSlices(data, config)
    if folder is not None:
        _claim(folder, config)
    torch.manual_seed(config.seed)
    model = config.build()
    if denoiser is not None:
        _adopt(model, denoiser)
    model.to(fabric.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    average = WeightAverage(model, config.average)
    done: dict = {"epochs": 0, "history": [], "seconds": 0.0}
    if folder is not None and (folder / CHECKPOINT).exists():
        done = load_checkpoint(folder / CHECKPOINT, model, optimizer, average.weights)

    def keep() -> None:
        if folder is not None and first:
            save_checkpoint(folder / CHECKPOINT, model, optimizer, done, average.weights)

    def judged(entry: dict) -> None:
        """The epoch's entry gains what validation says; one that was interrupted is made good."""
        if done.pop("unvalidated", False) and validate is not None and first:
            model.eval()
            with average.applied(model):
                entry |= validate(model)
            model.train()

    phases = config.phases()
    plan = [(phase, epoch) for phase in phases for epoch in range(phase.epochs)]
    if progress and first and done["epochs"]:
        there = f"{done['epochs']} of {len(plan)} epochs are done"
        left = "so nothing is left to train" if done["epochs"] >= len(plan) else "training goes on"
        tqdm.write(f"{folder}: {there}, {left}")
    if done["history"]:
        judged(done["history"][-1])
        keep()
    for number, (phase, epoch) in enumerate(plan):
        if number < done["epochs"]:
            continue
        begin = time.perf_counter()
        if epoch == 0:
            # Momentum of one objective says nothing about the next.
            optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        bar = tqdm(
            range(config.steps_per_epoch),
            desc=f"{phase.name} {epoch + 1}",
            disable=not (progress and first and bars_are_seen()),
            leave=False,
        )
        logs = []
        for index in bar:
            step = epoch * config.steps_per_epoch + index
            share = step / (phase.epochs * config.steps_per_epoch)
            rise = min(1.0, (step + 1) / (config.warm_up + 1))
            _set_rate(optimizer, rise * config.learning_rate, share)
            batch = draws.batch(phase.stream, step, rank).to(fabric.device)
            at = Step(config.seed, step, config.loss, rank)
            logs.append(_step(fabric, model, optimizer, phase.objective, batch, at, config.clip))
            average.update(model, number * config.steps_per_epoch + index)
            bar.set_postfix({key: f"{value:.3g}" for key, value in logs[-1].items()})
        began = first_loss(done["history"], phase.name, logs)
        refuse_diverged(phase.name, epoch + 1, logs, began)
        entry = {"phase": phase.name, "epoch": epoch + 1}
        means = {key: float(np.mean([log[key] for log in logs])) for key in logs[0]}
        entry |= average_logs(fabric, means)
        if phase is phases[-1]:
            entry |= model.scalars()
            done["unvalidated"] = True
        done["history"].append(entry)
        done["epochs"] = number + 1
        # Before the validation: what an epoch has learned is not lost with it.
        learned = time.perf_counter()
        done["seconds"] += learned - begin
        keep()
        judged(entry)
        done["seconds"] += time.perf_counter() - learned
        if progress and first:
            tqdm.write(
                " ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in entry.items()
                )
            )
        keep()
    average.into(model)
    return Trained(model.eval(), done["history"], done["seconds"])


def bars_are_seen() -> bool:
    """Whether a bar moves where it is shown: on a terminal and in a notebook, not in a log."""
    return sys.stderr.isatty() or any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)


def _step(
    fabric: Fabric,
    model: Model,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    batch: Batch,
    at: Step,
    clip: float,
) -> dict[str, float]:
    optimizer.zero_grad()
    with fabric.autocast():
        loss, logs = objective(model, batch, at)
    fabric.backward(loss)
    average_gradients(fabric, model)
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    if math.isfinite(norm):
        optimizer.step()
        model.after_step()
    # A step without a finite gradient changes nothing but is counted.
    return logs | {
        "gradient": norm.item() if math.isfinite(norm) else 0.0,
        "skipped": float(not math.isfinite(norm)),
    }


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * share))


def _adopt(model: Model, trained: nn.Module) -> None:
    """Each of the model's denoisers has the weights of the trained one."""
    found = model.denoisers()
    if not found:
        raise InputError(f"denoiser: {type(model).__name__} has none that could start from it")
    weights = dict(trained.state_dict())
    try:
        for own in found:
            known = own.completed(weights) if isinstance(own, ExtendingDenoiser) else weights
            own.load_state_dict(known)
    except RuntimeError as error:
        raise InputError(
            "denoiser: the trained one has another architecture:"
            f" {str(error).splitlines()[-1].strip()}"
        ) from None


def _claim(folder: Path, config: TrainingConfig) -> None:
    """Mark `folder` as this configuration's, or refuse another's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(config.card(), indent=1) + "\n")
        return
    advice = "choose another folder or remove it"
    try:
        other = json.loads(path.read_text())
        if not isinstance(other, dict):
            raise ValueError("no JSON object with one entry a field")
        # A field that is younger than the run had its default then.
        other = TrainingConfig.from_card(other).card()
    except ValueError as error:
        raise InputError(f"{path}: holds no configuration ({error}); {advice}") from None
    there, here = _flat(other), _flat(config.card())
    for key in [*here, *there]:
        if there.get(key) != here.get(key):
            raise InputError(
                f"{folder}: holds a run with {key} = {there.get(key)!r}, not {here.get(key)!r};"
                f" {advice}"
            )


def _flat(card: dict, prefix: str = "") -> dict:
    """The card with every option under its path, as "objective.hinge"."""
    found: dict[str, Any] = {}
    for key, value in card.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found
