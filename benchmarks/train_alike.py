"""The networks of the literature and their equilibrium twin, trained alike: the same draws, loss,
number of steps and of parameters (0.3 to 0.45 million; 0.2 of the recurrent one, whose every step
costs the most), for each of several seeds.

Every run is one `deqlab train` with its own folder below --out, so that it resumes after a kill, a
finished one is skipped, and each card tells its command. What the families do not share is said
where it stands: the learning rate that each wants, and what their last layers start from. Judge the
cards with `deqlab evaluate --model ...` or `benchmarks/real_scans.py`.
"""

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Of each network: the words that bring it to that size, and its learning rate.
DEMODULATED = {"denoiser": "demodulated-unet", "denoiser.widths": "48,64,80", "level": "0.014"}
NETWORKS: dict[str, tuple[dict[str, str], float]] = {
    "unet": ({"denoiser": "unet", "denoiser.widths": "28,56,112"}, 1e-3),
    "cascade-net": ({}, 1e-3),
    "xpdnet": ({"iterations": "8", "network.widths": "12,18,24"}, 1e-3),
    "pdnet": ({}, 1e-3),
    "modl": (DEMODULATED | {"weight": "0.1"}, 1e-3),
    "de-grad-measured": (
        DEMODULATED
        | {
            "weight": "0.1",
            "objective.pretrain_epochs": "0",
            "objective.gradient": "unrolled",
            "objective.gradient.k": "5",
            "objective.shortest": "4",
            "objective.max_evaluations": "40",
            "objective.hinge": "0",
            "objective.still": "6",
            "objective.keep": "1",
        },
        1e-3,
    ),
    "kiki-net": ({"depth": "8", "width": "40"}, 1e-3),
    "rim": ({"width": "96"}, 1e-3),
}
STEPS_PER_EPOCH = 100

# Networks whose pieces are trained one after the other share the steps among them, rounded up.
PIECES = {"kiki-net": 4}


def main() -> None:
    """Trains what is not there yet, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=2000, help="a multiple of 100 (%(default)s)")
    parser.add_argument("--anatomy", nargs="*", default=[], metavar="FILE.nii.gz")
    parser.add_argument("--pixels", type=int, default=20_000, help="of a draw, at most")
    parser.add_argument("--precision", choices=("32", "bf16"), default="bf16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/alike"))
    parser.add_argument("--dry-run", action="store_true", help="print the commands alone")
    chosen = parser.parse_args()
    if chosen.steps < STEPS_PER_EPOCH or chosen.steps % STEPS_PER_EPOCH:
        parser.error(f"--steps: {chosen.steps} given, a multiple of {STEPS_PER_EPOCH} needed")
    runs = []
    for seed in chosen.seeds:
        for name in chosen.only:
            out = chosen.out / f"seed-{seed}" / name
            words = command(name, seed, out, chosen)
            runs.append(Run(f"{name}, seed {seed}", out / f"{name}.json", words))
    finish(runs, chosen.dry_run)


@dataclass(frozen=True)
class Run:
    """One `deqlab train`: its name in messages, the card it ends with, and its words."""

    name: str
    card: Path
    words: list[str]


def finish(runs: Iterable[Run], dry_run: bool = False) -> None:
    """Runs what has no card yet, one after the other; SystemExit names those that failed. dry_run:
    whether the commands are printed alone.
    """
    failed = []
    for run in runs:
        if run.card.exists():
            continue
        print(shlex.join(["deqlab", *run.words]), flush=True)
        if dry_run:
            continue
        if subprocess.run([sys.executable, "-m", "deqlab", *run.words], check=False).returncode:
            failed.append(run.name)
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")


def command(name: str, seed: int, out: Path, chosen: argparse.Namespace) -> list[str]:
    """The words of `deqlab train` for one run of `NETWORKS`."""
    settings, rate = NETWORKS[name]
    settings = settings | {"data.measurements.pixels": str(chosen.pixels)}
    return training(name, settings, rate, seed, out, chosen)


def training(
    name: str,
    settings: dict[str, str],
    rate: float,
    seed: int,
    out: Path,
    chosen: argparse.Namespace,
) -> list[str]:
    """The words of `deqlab train` for a network: all but its settings and its rate are alike."""
    words = ["train", "--model", name, "--data", "varied", "--loss", "log-error"]
    for file in chosen.anatomy:
        words += ["--anatomy", file]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    epochs = math.ceil(chosen.steps / (STEPS_PER_EPOCH * PIECES.get(name, 1)))
    words += ["--epochs", str(epochs), "--batch-size", "1"]
    words += ["--steps-per-epoch", str(STEPS_PER_EPOCH), "--learning-rate", f"{rate:g}"]
    words += ["--warm-up", "50", "--average", "0.99", "--precision", chosen.precision]
    words += ["--threads", str(chosen.threads), "--seed", str(seed), "--out", str(out)]
    return words


if __name__ == "__main__":
    main()
