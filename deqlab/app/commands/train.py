"""Trains a model and writes its weights with their provenance.

The run lives in a folder: a checkpoint after every epoch, and the same command again continues
where an interrupted one stopped. What belongs to the model, its objective or the loss alone is an
option of theirs: `--set denoiser.width=32 --set objective.hinge=5 --set loss.weight=2`.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from deqlab.app.commit import commit
from deqlab.app.shell import DEVICE, SET, Command, NameOf, flags, said, settings
from deqlab.app.varied import ANATOMY, PREFIX, VARIED, varied_options
from deqlab.core.errors import InputError

if TYPE_CHECKING:
    from deqlab.data.varied.draws import VariedOptions
    from deqlab.training.config import TrainingConfig

# Flags of older versions, and what they are called now.
NETWORK = ("depth", "width", "norm", "lipschitz", "unshuffle")
OBJECTIVE = (
    "solver",
    "gradient",
    "tolerance",
    "max-evaluations",
    "hinge",
    "hinge-bound",
    "hinge-iterations",
    "hinge-radius",
    "jacobian",
    "pretrain-epochs",
)
# Options of runs on files that varied draws have in another place.
INSTEAD = {
    "noise": "measurements.noise",
    "center_fraction": "measurements.calibration",
    "max_pixels": "measurements.pixels",
}
MOVED = (
    {f"--{name}": f"--set denoiser.{name}=VALUE" for name in NETWORK}
    | {f"--{name}": f"--set {name}=VALUE" for name in ("step", "weight")}
    | {f"--{name}": f"--set objective.{name.replace('-', '_')}=VALUE" for name in OBJECTIVE}
    | {"--backward-evaluations": "--set objective.gradient.max_evaluations=VALUE"}
)


def run(
    model: str,
    objective: str | None,
    words: tuple[str, ...],
    data: tuple[str, ...],
    anatomy: tuple[str, ...],
    val: tuple[str, ...],
    out: Path | None,
    denoiser: str | None,
    threads: int | None,
    devices: int,
    device: Literal["auto", "cpu", "cuda"],
    **chosen: Any,
) -> None:
    """Trains, then writes MODEL.safetensors and MODEL.json into the run's folder."""
    import torch

    from deqlab.core.options import to_json
    from deqlab.data.files import BUILTIN, split_files
    from deqlab.data.varied.draws import Varied
    from deqlab.evaluation.validation import validator
    from deqlab.recon import weights
    from deqlab.training.devices import fabric_of
    from deqlab.training.trainer import train
    from deqlab.training.varied_draws import VariedDraws

    if threads:
        torch.set_num_threads(threads)
    config, varied = planned(model, objective, words, data, anatomy, device, **chosen)
    # Before any data are made: are the devices there, can the architecture be built?
    fabric_of(config, devices)
    weights_count = sum(weight.numel() for weight in config.build().parameters())
    start = weights.denoiser(denoiser) if denoiser else None
    files = split_files(data, "train") if varied is None else []
    val_files = split_files(val or ([BUILTIN] if data == (BUILTIN,) else []), "val")
    out = out or Path("runs") / config.name
    validate = validator(val_files, config.acceleration, config.mask[0]) if val_files else None
    draws = files if varied is None else VariedDraws(Varied(varied), config)
    read = f"{len(files)} files" if varied is None else "varied draws"
    steps = ", ".join(
        f"{phase.name} {phase.epochs * config.steps_per_epoch}" for phase in config.phases()
    )
    print(
        f"{config.name}: {weights_count} weights; data: {read} to train on, {len(val_files)} to"
        f" validate on; steps: {steps}; run: {out}",
        flush=True,
    )
    trained = train(config, draws, out, validate, denoiser=start, devices=devices)
    card = {
        "command": shlex.join(["deqlab", "train", *click.get_current_context().meta["words"]]),
        "training": config.card(),
        "data": {
            "train": len(files),
            "val": len(val_files),
            "simulated": _simulations(data),
            "varied": None if varied is None else to_json(varied),
        },
        "commit": commit(),
        "steps": {phase.name: phase.epochs * config.steps_per_epoch for phase in config.phases()},
        "device": _device(trained.model),
        "devices": devices,
        "torch": torch.__version__.split("+")[0],
        "seconds": round(trained.seconds, 1),
        "history": trained.history,
        "denoiser_from": weights.read_card(weights.card_path(denoiser)) if denoiser else None,
    }
    path = out / f"{config.name}.safetensors"
    weights.save(trained.model, path, card)
    print(f"weights: {path}\nprovenance: {path.with_suffix('.json')}")


def planned(
    model: str,
    objective: str | None,
    words: tuple[str, ...],
    data: tuple[str, ...],
    anatomy: tuple[str, ...],
    device: Literal["auto", "cpu", "cuda"],
    **chosen: Any,
) -> tuple[TrainingConfig, VariedOptions | None]:
    """What is to be trained, and on which varied draws; InputError for words that do not fit."""
    from deqlab.training.config import TrainingConfig

    config = TrainingConfig(model=model, objective=objective, device=device, **said(chosen))
    pairs = settings(words, [model])[model]
    varied = varied_of(data, anatomy, pairs, said(chosen))
    plain = {
        key: word for key, word in pairs.items() if varied is None or not key.startswith(PREFIX)
    }
    return config.with_words(plain), varied


def varied_of(
    data: tuple[str, ...], anatomy: tuple[str, ...], pairs: dict[str, str], chosen: dict[str, Any]
) -> VariedOptions | None:
    """The options of varied draws; None where files are trained on. InputError for what does not go
    together.
    """
    if VARIED not in data:
        if anatomy:
            raise InputError(f"--anatomy: is for --data {VARIED} alone")
        return None
    if data != (VARIED,):
        raise InputError(f"--data {VARIED}: stands alone; {' '.join(data)} given")
    for name, instead in INSTEAD.items():
        if name in chosen:
            raise InputError(
                f"--{name.replace('_', '-')}: is not for --data {VARIED}, whose own option is"
                f" --set {PREFIX}{instead}"
            )
    own = {key: word for key, word in pairs.items() if key.startswith(PREFIX)}
    return varied_options(own, anatomy)


def _simulations(paths: tuple[str, ...]) -> list[str]:
    """What the simulated folders among `paths` are made of, as `deqlab data make` recorded it."""
    cards = [Path(path) / "simulation.json" for path in paths]
    return [card.read_text().strip() for card in cards if card.exists()]


def _device(model: Any) -> str:
    import torch

    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def page(name: str) -> str:
    """The options of a model, of its objective and of the losses."""
    from deqlab.core.options import names_of
    from deqlab.losses.registry import LOSSES
    from deqlab.recon.registry import METHODS
    from deqlab.training.objectives.registry import OBJECTIVES

    trained_by = METHODS[name].trained_by
    if trained_by is None:
        return "it has nothing to train"
    pages = [METHODS.page(name), _under("objective", OBJECTIVES.page(trained_by))]
    for loss in LOSSES:
        if names_of(LOSSES.defaults(loss)):
            pages.append(f"of --loss {loss}:\n{_under('loss', LOSSES.page(loss))}")
    return "\n".join(pages)


def _under(part: str, text: str) -> str:
    """A page whose options are set as `--set PART.NAME`."""
    return "".join(
        f"{part}.{line}\n" if line[:1].strip() else f"{line}\n" for line in text.splitlines()
    )


def _command() -> Command:
    from deqlab.core.options import names_of
    from deqlab.losses.registry import LOSSES
    from deqlab.recon.registry import METHODS
    from deqlab.signal.sampling.masks import MASKS
    from deqlab.training.config import TrainingConfig
    from deqlab.training.objectives.registry import OBJECTIVES

    apart = ("model", "objective", "device")
    own = [name for name in names_of(TrainingConfig) if name not in apart]
    return Command(
        "train",
        callback=run,
        help=__doc__,
        pages=page,
        moved=MOVED,
        params=[
            click.Option(
                ["--model"],
                type=NameOf(METHODS),
                default="de-grad",
                show_default=True,
                metavar="NAME",
                help="what to train",
            ),
            click.Option(
                ["--objective"],
                type=NameOf(OBJECTIVES),
                metavar="NAME",
                help="what to minimise: "
                + ", ".join(OBJECTIVES)
                + " (default: what the model is trained by)",
            ),
            SET,
            click.Option(
                ["--data"],
                multiple=True,
                default=("builtin",),
                show_default=True,
                metavar="PATH",
                help="files or folders, `builtin`: the simulated heads, or `varied`: drawn on the"
                " fly, see `deqlab data draws`",
            ),
            ANATOMY,
            click.Option(
                ["--val"],
                multiple=True,
                metavar="PATH",
                help="the same for validation (default: the built-in data's own, else none)",
            ),
            click.Option(
                ["--out"],
                type=click.Path(path_type=Path),
                metavar="DIR",
                help="folder of the run (default: runs/MODEL)",
            ),
            click.Option(
                ["--denoiser"],
                metavar="NAME",
                help="start from the denoiser of these trained weights: a name or a .json card",
            ),
            click.Option(
                ["--threads"],
                type=int,
                help="of the CPU, for all devices together (default: torch's)",
            ),
            click.Option(
                ["--devices"],
                type=int,
                default=1,
                show_default=True,
                help="how many GPUs, or processes of the CPU, share every batch; steps are those of"
                " one but for rounding",
            ),
            *flags(TrainingConfig, own, {"loss": NameOf(LOSSES), "mask": NameOf(MASKS)}),
            DEVICE,
        ],
    )


COMMAND = _command()
