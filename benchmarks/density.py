"""What density compensation gives NC-PDNet: trained with it and without it on the same draws, for
as many steps, along spokes and spirals of a plane and along spokes of a sphere.

Every training has its own folder below --out, so that it resumes after a kill, and a finished one
is skipped; the cards tell what was trained on what. Both networks are then judged, beside the
density-compensated adjoint, on draws of heads that no training has, each draw at its best factor.
The networks have the published sizes unless --quick.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from head_volumes import HeadVolumes
from train_alike import STEPS_PER_EPOCH, Run, finish, training

from deqlab.app.varied import PREFIX, varied_options
from deqlab.core.errors import InputError
from deqlab.core.text_table import table
from deqlab.data.sample import Batch, collate
from deqlab.data.varied.anatomies import AnatomyOptions
from deqlab.data.varied.draws import Varied
from deqlab.evaluation.on_scan import psnr_inside
from deqlab.evaluation.paired import mean_difference
from deqlab.losses import LogErrorLoss
from deqlab.recon import create, load
from deqlab.recon.base import Reconstructor
from deqlab.recon.registry import METHODS
from deqlab.recon.weights import save
from deqlab.training.config import TrainingConfig
from deqlab.training.trainer import train

MODEL = "ncpdnet"
DENSITIES = ("none", "pipe")
IN_PLANE = {
    "data.measurements": "off-grid",
    "data.measurements.sizes": "64,64",
    "data.measurements.coils": "1,2,4,4",
}
# The share of spokes among planar draws; the others are spirals.
PLANES = {"radial": "1", "spiral": "0"}
VOLUME = "radial-3d"
RATE = 1e-3
# Seeds of draws and numbers of heads that no training has.
HELD_OUT, OTHER_HEADS, OTHER_VOLUMES = 10_000, 999, range(100, 108)


@dataclass(frozen=True)
class Size:
    """How much is trained and judged. network: options in the plane, where not the published ones;
    volume: those of volumes. draws, volume_draws: that are
    judged. heads: that they are of. side: pixels of a volume along each axis.
    """

    network: tuple[tuple[str, str], ...] = ()
    volume: tuple[tuple[str, int], ...] = (("iterations", 6), ("primal", 2), ("width", 16))
    draws: int = 40
    volume_draws: int = 16
    heads: int = 10
    side: int = 32


QUICK = Size(
    (("iterations", "2"), ("width", "8")),
    (("iterations", 1), ("primal", 1), ("width", 4)),
    2,
    2,
    1,
    16,
)


def planar(kind: str) -> dict[str, str]:
    """The words for draws of this kind."""
    return IN_PLANE | {"data.measurements.radial": PLANES[kind]}


def folder(chosen: argparse.Namespace, kind: str, density: str, seed: int) -> Path:
    """Where a run lies."""
    return chosen.out / f"seed-{seed}" / f"{kind}-{density}"


def train_planes(chosen: argparse.Namespace, size: Size) -> None:
    """By `deqlab train`."""
    runs = []
    for seed in chosen.seeds:
        for kind in (kind for kind in chosen.only if kind in PLANES):
            for density in DENSITIES:
                out = folder(chosen, kind, density, seed)
                settings = dict(size.network) | planar(kind) | {"density": density}
                words = training(MODEL, settings, RATE, seed, out, chosen)
                name = f"{kind}, {density}, seed {seed}"
                runs.append(Run(name, out / f"{MODEL}.json", words))
    finish(runs)


def train_volumes(chosen: argparse.Namespace, size: Size) -> None:
    """By the same loop, on draws that the command does not have."""
    for seed in chosen.seeds:
        for density in DENSITIES:
            out = folder(chosen, VOLUME, density, seed)
            path = out / f"{MODEL}.safetensors"
            if path.exists():
                continue
            options = METHODS.options(MODEL)(
                **dict(size.volume), dimensions=3, density={"name": density}
            )
            config = TrainingConfig(
                model=options,
                loss=LogErrorLoss(),
                epochs=chosen.volume_steps // chosen.volume_epoch,
                steps_per_epoch=chosen.volume_epoch,
                batch_size=1,
                learning_rate=RATE,
                warm_up=chosen.volume_epoch // 2,
                average=0.95,
                seed=seed,
                device="cpu",
            )
            draws = HeadVolumes(seed, side=size.side)
            trained = train(config, draws, out)
            facts = {key: str(value) for key, value in asdict(draws).items()}
            card = {
                "command": f"benchmarks/density.py --only {VOLUME}, {density}, seed {seed}",
                "training": config.card(),
                "data": {"volumes": facts},
                "steps": {"train": chosen.volume_steps},
                "torch": torch.__version__.split("+")[0],
                "seconds": round(trained.seconds, 1),
                "history": trained.history,
            }
            save(trained.model, path, card)


def held_out(kind: str, size: Size) -> Iterator[Batch]:
    """Draws of heads that no training of this kind has."""
    if kind == VOLUME:
        volumes = HeadVolumes(HELD_OUT, OTHER_VOLUMES, size.side)
        for step in range(size.volume_draws):
            yield volumes.batch(1, step)
        return
    words = {key: value for key, value in planar(kind).items() if key.startswith(PREFIX)}
    others = AnatomyOptions(heads=size.heads, seed=OTHER_HEADS)
    varied = Varied(replace(varied_options(words, ()), anatomy=others))
    for step in range(size.draws):
        yield collate([varied.scan(HELD_OUT, step, 0)])


@torch.no_grad()
def judged(batches: Sequence[Batch], methods: Mapping[str, Reconstructor]) -> dict[str, np.ndarray]:
    """PSNR in dB inside the object at the best factor, (draws,) of each method."""
    return {
        name: np.array(
            [psnr_inside(method(b.kspace, b.operator), b.known("reference")) for b in batches]
        )
        for name, method in methods.items()
    }


def lines(kind: str, found: Mapping[int, Mapping[str, np.ndarray]]) -> list[list[str]]:
    """Rows of the table, one for each seed and, where there are several, one for all."""
    shown = [([seed], f"{seed}") for seed in found]
    shown += [(list(found), "all")] if len(found) > 1 else []
    rows = []
    for seeds, name in shown:
        scores = {key: np.stack([found[seed][key] for seed in seeds]) for key in found[seeds[0]]}
        with_, without, adjoint = scores["pipe"], scores["none"], scores["adjoint"]
        rows.append(
            [kind, name, f"{with_.shape[1]}"]
            + [f"{part.mean():.2f}" for part in (adjoint, without, with_)]
            + [str(mean_difference(part)) for part in (with_ - without, with_ - adjoint)]
        )
    return rows


def main() -> None:
    """Trains what is not there yet, then judges all of it."""
    kinds = [*PLANES, VOLUME]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=800, help="a multiple of 100 (%(default)s)")
    parser.add_argument(
        "--volume-steps", type=int, default=80, help="of volumes, a multiple of 20 (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/density"))
    parser.add_argument("--quick", action="store_true", help="tiny: the figures mean nothing")
    chosen = parser.parse_args()
    chosen.volume_epoch, chosen.anatomy, chosen.precision = 20, [], "32"
    for name, steps, epoch in (
        ("--steps", chosen.steps, STEPS_PER_EPOCH),
        ("--volume-steps", chosen.volume_steps, chosen.volume_epoch),
    ):
        if steps < epoch or steps % epoch:
            parser.error(f"{name}: {steps} given, a multiple of {epoch} needed")
    torch.set_num_threads(chosen.threads)
    size = QUICK if chosen.quick else Size()
    try:
        print(table(compared(chosen, size)))
    except InputError as error:
        parser.error(str(error))
    print(
        "   PSNR in dB inside the object at the best factor, mean over held-out draws; differences"
        " with their 95 % bootstrap\n   interval. adjoint: density-compensated. none, pipe:"
        " NC-PDNet without density weights and with those of Pipe and Menon."
    )


def compared(chosen: argparse.Namespace, size: Size) -> list[list[str]]:
    """The rows of the table, heading first."""
    train_planes(chosen, size)
    if VOLUME in chosen.only:
        train_volumes(chosen, size)
    head = ["trajectory", "seed", "draws", "adjoint", "none", "pipe", "pipe - none"]
    rows = [[*head, "pipe - adjoint"]]
    for kind in chosen.only:
        batches, found = list(held_out(kind, size)), {}
        for seed in chosen.seeds:
            methods: dict[str, Reconstructor] = {"adjoint": create("zero-filled")}
            for density in DENSITIES:
                card = folder(chosen, kind, density, seed) / f"{MODEL}.json"
                methods[density] = load(card)
            found[seed] = judged(batches, methods)
        rows += lines(kind, found)
    return rows


if __name__ == "__main__":
    main()
