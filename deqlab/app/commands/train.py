"""Trains an equilibrium model and writes its weights with their provenance.

The run lives in a folder: a checkpoint after every epoch, and the same command again continues
where an interrupted one stopped.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import typing
from dataclasses import MISSING, Field, fields
from pathlib import Path

ARCHITECTURE = {
    "depth": int,
    "width": int,
    "norm": str,
    "lipschitz": float,
    "unshuffle": int,
    "step": float,
    "weight": float,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows every field of `TrainingConfig`, the architecture, and where data come from
    and results go.
    """
    from deqlab.training.config import CHOICES, TrainingConfig

    parser.add_argument(
        "--data",
        nargs="+",
        default=["builtin"],
        metavar="PATH",
        help="fastMRI-schema files or folders, or `builtin` (default): the simulated heads",
    )
    parser.add_argument(
        "--val",
        nargs="+",
        metavar="PATH",
        help="the same for validation (default: the built-in data's own, else none)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the run (default: runs/MODEL)"
    )
    parser.add_argument(
        "--denoiser",
        metavar="NAME",
        help="start from the denoiser of these trained weights: a name or a .json card",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's)")
    for name, kind in ARCHITECTURE.items():
        parser.add_argument(
            f"--{name}",
            type=kind,
            help=f"of the network: {name} (default: that of `deqlab.recon.create`)",
        )
    for item in fields(TrainingConfig):
        if item.name != "options":
            _add_field(parser, item, CHOICES.get(item.name))


def _add_field(
    parser: argparse.ArgumentParser, item: Field, choices: typing.Sequence[str] | None
) -> None:
    if item.default is MISSING:
        raise TypeError(f"{item.name} has no plain default")
    several = isinstance(item.default, tuple)
    sample = item.default[0] if several else item.default
    kind = float if sample is None or item.name == "acceleration" else type(sample)
    shown = " ".join(map(str, item.default)) if several else item.default
    text = "follows the acceleration" if item.default is None else shown
    parser.add_argument(
        f"--{item.name.replace('_', '-')}",
        dest=item.name,
        type=kind,
        nargs="+" if several else None,
        choices=choices,
        default=item.default,
        metavar=None if choices else kind.__name__.upper(),
        help=f"default: {text}",
    )


def main(args: argparse.Namespace) -> int:
    """Trains, then writes MODEL.safetensors and MODEL.json into the run's folder."""
    import torch

    from deqlab.data.files import BUILTIN, split_files
    from deqlab.evaluation.judge import validator
    from deqlab.recon.weights import card_path, load_pretrained, read_card, save_weights
    from deqlab.training.config import TrainingConfig, device_by_name
    from deqlab.training.trainer import train

    if args.threads:
        torch.set_num_threads(args.threads)
    values = {
        item.name: getattr(args, item.name)
        for item in fields(TrainingConfig)
        if item.name != "options"
    }
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    options = {
        name: getattr(args, name) for name in ARCHITECTURE if getattr(args, name) is not None
    }
    config = TrainingConfig(**values, options=options)
    device_by_name(config.device)
    config.build()  # an architecture that cannot be built is refused before any data are made
    denoiser = load_pretrained(args.denoiser).denoiser if args.denoiser else None
    start = read_card(card_path(args.denoiser)) if args.denoiser else None
    files = split_files(args.data, "train")
    val = split_files(args.val or ([BUILTIN] if args.data == [BUILTIN] else []), "val")
    out = args.out or Path("runs") / config.model
    validate = validator(val, config.acceleration, config.mask[0]) if val else None
    trained = train(config, files, out, validate, denoiser=denoiser)
    card = {
        "model": config.model,
        "options": config.options,
        "command": shlex.join(["deqlab", "train", *_words()]),
        "training": config.card(),
        "data": {"train": len(files), "val": len(val), "simulated": _simulations(args.data)},
        "commit": _commit(),
        "steps": {
            "pretrain": config.pretrain_epochs * config.steps_per_epoch,
            "train": config.epochs * config.steps_per_epoch,
        },
        "device": _device(trained.model),
        "torch": torch.__version__.split("+")[0],
        "seconds": round(trained.seconds, 1),
        "history": trained.history,
        "denoiser_from": start,
    }
    path = out / f"{config.model}.safetensors"
    save_weights(trained.model, path, card)
    print(f"weights: {path}\nprovenance: {path.with_suffix('.json')}")
    return 0


def _words() -> list[str]:
    words = [word for word in sys.argv[1:] if word != "--debug"]
    return words[words.index("train") + 1 :] if "train" in words else words


def _simulations(paths: list[str]) -> list[str]:
    """What the simulated folders among `paths` are made of, as `deqlab data make` recorded it."""
    cards = [Path(path) / "simulation.json" for path in paths]
    return [card.read_text().strip() for card in cards if card.exists()]


def _commit() -> str | None:
    """The commit of the code, where it runs from a git checkout."""
    folder = Path(__file__).parent
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None


def _device(model) -> str:
    import torch

    device = next(model.parameters()).device
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads"
    )
