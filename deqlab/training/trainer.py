"""The training loop: two phases, one step function, a checkpoint after every epoch, exact resume
after a kill.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn
from tqdm.auto import tqdm

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.training.checkpoint import load_checkpoint, save_checkpoint
from deqlab.training.config import TrainingConfig, device_by_name
from deqlab.training.draw import PHASES, TrainingSlices
from deqlab.training.objectives import OBJECTIVES

CHECKPOINT = "checkpoint.safetensors"

Validate = Callable[[nn.Module], dict[str, float]]


@dataclass
class Trained:
    """A trained model, the log of every epoch, and the seconds that training took, interruptions
    left out.
    """

    model: nn.Module
    history: list[dict]
    seconds: float


def train(
    config: TrainingConfig,
    files: Sequence[Path],
    folder: Path | None = None,
    validate: Validate | None = None,
    progress: bool = True,
    denoiser: nn.Module | None = None,
) -> Trained:
    """The model of `config`, trained on fully sampled fastMRI-schema `files`.

    folder: where the checkpoint lives; training continues from it, to the weights an uninterrupted
        run would have given (same machine, CPU, same number of threads). None keeps nothing.
        validate: called with the model after every epoch of the second phase; its numbers join the
            log. denoiser: trained weights to start from, of the architecture that the configuration
            names.
    Raises InputError before any work where a file cannot be trained on, or where `folder` holds
    another configuration's run.
    """
    fabric = Fabric(
        accelerator=device_by_name(config.device).type,
        devices=1,
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )
    slices = TrainingSlices(files, config)
    if folder is not None:
        _claim(folder, config)
    torch.manual_seed(config.seed)
    model = config.build()
    if denoiser is not None:
        _adopt(model.denoiser, denoiser)
    model.to(fabric.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    done: dict = {"epochs": 0, "history": [], "seconds": 0.0}
    if folder is not None and (folder / CHECKPOINT).exists():
        done = load_checkpoint(folder / CHECKPOINT, model, optimizer)

    plan = [
        (phase, epoch)
        for phase, count in zip(PHASES, (config.pretrain_epochs, config.epochs))
        for epoch in range(count)
    ]
    steps = {
        "pretrain": config.pretrain_epochs * config.steps_per_epoch,
        "train": config.epochs * config.steps_per_epoch,
    }
    for number, (phase, epoch) in enumerate(plan):
        if number < done["epochs"]:
            continue
        begin = time.perf_counter()
        if epoch == 0:
            # Momentum of one objective says nothing about the next.
            optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        bar = tqdm(
            range(config.steps_per_epoch),
            desc=f"{phase} {epoch + 1}",
            disable=not progress,
            leave=False,
        )
        logs = []
        for index in bar:
            step = epoch * config.steps_per_epoch + index
            _set_rate(optimizer, config.learning_rate, step / steps[phase])
            logs.append(_step(fabric, model, optimizer, slices, config, phase, step))
            bar.set_postfix({key: f"{value:.3g}" for key, value in logs[-1].items()})
        entry = {"phase": phase, "epoch": epoch + 1} | {
            key: float(np.mean([log[key] for log in logs])) for key in logs[0]
        }
        if phase == "train":
            entry |= {"step": model.step.item()}
            if validate is not None:
                model.eval()
                entry |= validate(model)
                model.train()
        done["history"].append(entry)
        done["epochs"], done["seconds"] = number + 1, done["seconds"] + time.perf_counter() - begin
        if progress:
            tqdm.write(
                " ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in entry.items()
                )
            )
        if folder is not None:
            save_checkpoint(folder / CHECKPOINT, model, optimizer, done)
    return Trained(model.eval(), done["history"], done["seconds"])


def _step(
    fabric: Fabric,
    model: nn.Module,
    optimizer,
    slices: TrainingSlices,
    config: TrainingConfig,
    phase: str,
    step: int,
) -> dict:
    batch = slices.batch(phase, step).to(fabric.device)
    optimizer.zero_grad()
    with fabric.autocast():
        loss, logs = OBJECTIVES[phase](model, batch, config, step)
    fabric.backward(loss)
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    if math.isfinite(norm):
        optimizer.step()
        model.denoiser.project_()
    # A step without a finite gradient changes nothing but is counted.
    return logs | {
        "gradient": norm.item() if math.isfinite(norm) else 0.0,
        "skipped": float(not math.isfinite(norm)),
    }


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * share))


def _adopt(denoiser: nn.Module, trained: nn.Module) -> None:
    try:
        denoiser.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise InputError(
            "denoiser: the trained one has another architecture:"
            f" {str(error).splitlines()[-1].strip()}"
        ) from None


def _claim(folder: Path, config: TrainingConfig) -> None:
    """Mark `folder` as this configuration's, or refuse another's."""
    folder.mkdir(parents=True, exist_ok=True)
    card, path = config.card(), folder / "config.json"
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(card, indent=1) + "\n")
        return
    try:
        other = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path}: not a JSON file ({error}); remove the folder to start anew"
        ) from None
    if not isinstance(other, dict):
        raise InputError(
            f"{path}: not a JSON object with one entry a field; remove the folder to start anew"
        )
    # A field that is younger than the run had its default then.
    other = TrainingConfig().card() | other
    different = sorted(key for key in card.keys() | other.keys() if card.get(key) != other.get(key))
    if different:
        key = different[0]
        raise InputError(
            f"{folder}: holds a run with {key} = {other.get(key)!r}, not {card.get(key)!r}; choose"
            " another folder or remove it"
        )
