"""The networks that `train_alike.py` trained, side by side: on the built-in test heads slice by
slice, and on measured scans, where DEQLAB_REAL_DATA names a folder of them.

Every method has its mean PSNR (of heads SSIM too) and its mean differences to the U-net of the same
seed and to total variation at its best weight, on the same slices, with 95 % bootstrap intervals:
slices and seeds are drawn again. With --depths another table shows what happens when the unrolled
networks take several times the steps that they were trained for, and an equilibrium several times
the evaluations that its training allowed at most, at a tolerance at which it never stops. All is
computed in float32, whatever was trained in.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
import torch
from scans.slice_sets import Heads, Scans, Scores, SliceSet

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.core.text_table import table
from deqlab.evaluation.paired import mean_difference
from deqlab.metrics.registry import METRICS
from deqlab.recon import Budget, load
from deqlab.recon.base import Model
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.unrolled.base import Unrolled
from deqlab.recon.weights import card_path, read_card

RUNS = "runs/alike/seed-*"
RIVALS = ("unet", "tv")

BySeed = dict[str, Scores]  # the empty word for what has no seeds


@dataclass(frozen=True)
class Network:
    """Trained weights. steps: of the network, or the most evaluations that training allowed; None
    for one that gives its image at once.
    """

    name: str
    seed: str
    model: Model
    steps: int | None


def network(word: str | Path, seed: str = "") -> Network:
    """The weights of a name or a card. InputError where there are none."""
    card = read_card(card_path(word))
    model, steps = load(word), None
    if isinstance(model, Unrolled):
        steps = model.depth
    elif isinstance(model, FixedPointMethod):
        objective = card.get("training", {}).get("objective", {})
        steps = objective.get("max_evaluations", model.max_evaluations)
    return Network(Path(word).stem, seed, model, steps)


def networks(words: Sequence[str]) -> list[Network]:
    """Those of folders of seeds, each with NAME/NAME.json inside, and those of names and cards; a
    word may be a pattern of folders. InputError for a word that stands for nothing.
    """
    found: list[Network] = []
    for word in words:
        folders = [path for path in map(Path, sorted(glob(word))) if path.is_dir()]
        cards = [
            (card, folder.name)
            for folder in folders
            for card in sorted(folder.glob("*/*.json"))
            if card.stem == card.parent.name
        ]
        if not cards and (folders or "*" in word):
            raise InputError(f"{word}: no NAME/NAME.json in it; `train_alike.py` makes them")
        found += [network(card, seed) for card, seed in cards] if cards else [network(word)]
    twice = {(one.name, one.seed) for one in found}
    if len(twice) < len(found):
        names = [one.name for one in found]
        raise InputError(f"weights: {', '.join(names)} given; another name for each needed")
    return found


def differences(scores: BySeed, others: BySeed, metric: str = "psnr") -> np.ndarray | None:
    """scores - others, (seeds, slices): of the seeds that both have, and beside every seed where
    one has none; None where they share none.
    """
    if "" in scores or "" in others:
        seeds = [(a, b) for a in scores for b in others]
    else:
        seeds = [(seed, seed) for seed in scores if seed in others]
    rows = [scores[a][metric] - others[b][metric] for a, b in seeds]
    return np.stack(rows) if rows else None


def heading(metrics: Sequence[str]) -> list[str]:
    """Of the main table."""
    titles = [METRICS[name].title for name in metrics]
    return ["method", "seeds", *titles, *(f"dB over {name}" for name in RIVALS)]


def row(name: str, found: Mapping[str, BySeed], metrics: Sequence[str]) -> list[str]:
    """A method's means and differences, as text."""
    own = found[name]
    cells = [name, "-" if "" in own else f"{len(own)}"]
    for metric in metrics:
        each = np.array([scores[metric].mean() for scores in own.values()])
        spread = f" ± {each.std(ddof=1):.{METRICS[metric].digits}f}" if len(each) > 1 else ""
        cells.append(f"{each.mean():.{METRICS[metric].digits}f}{spread}")
    for rival in RIVALS:
        values = differences(own, found[rival]) if rival in found and rival != name else None
        finite = values is not None and np.isfinite(values).all()
        cells.append(str(mean_difference(values)) if finite else "-")
    return cells


def tireless(model: Model) -> Model:
    """The model, or, of an equilibrium, a copy with the same weights that no residual stops."""
    if isinstance(model, FixedPointMethod):
        model = copy(model)
        model.tolerance = 0.0
    return model


def deeper(
    chosen: Sequence[Network], slices: SliceSet, multiples: Sequence[float]
) -> Iterator[list[str]]:
    """The rows of the table of depths: mean PSNR, over slices and seeds, and in brackets what it
    differs from that of the first multiple.
    """
    yield ["method", "steps", *(f"{multiple:g}x" for multiple in multiples)]
    for name in dict.fromkeys(one.name for one in chosen if one.steps is not None):
        seeds = [one for one in chosen if one.name == name]
        steps = seeds[0].steps
        cells, first = [name, f"{steps}"], None
        for multiple in multiples:
            budget = Budget(max_evaluations=max(1, round(multiple * steps)))
            found = np.stack([slices.scores(tireless(one.model), budget)["psnr"] for one in seeds])
            first = found if first is None else first
            change = "" if first is found else f" ({found.mean() - first.mean():+.2f})"
            cells.append(f"{found.mean():.2f}{change}")
            print(f"{slices.title}: {name}, {multiple:g}x: {cells[-1]} dB", flush=True)
        yield cells


def compared(chosen: Sequence[Network], slices: SliceSet) -> dict[str, BySeed]:
    """The scores of all methods, classical ones first, each printed as soon as it is there."""
    found: dict[str, BySeed] = {}

    def note(name: str, seed: str, scores: Scores) -> None:
        found.setdefault(name, {})[seed] = scores
        shown = ", ".join(f"{key} {values.mean():.4g}" for key, values in scores.items())
        print(f"{slices.title}: {name}{seed and f', {seed}'}: {shown}", flush=True)

    for name, scores in slices.classical():
        note(name, "", scores)
    for one in chosen:
        note(one.name, one.seed, slices.scores(one.model))
    return found


def main() -> None:
    """Judges all networks on all slices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "weights",
        nargs="*",
        default=[RUNS],
        metavar="FOLDER_OR_NAME",
        help="folders of seeds, names of shipped weights, or cards (default: %(default)s)",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the networks in folders")
    parser.add_argument("--accelerations", nargs="+", type=float, default=[4, 8])
    parser.add_argument("--slices", type=int, help="of the test heads at most (default: all)")
    parser.add_argument("--masks", type=int, default=1, help="for each scan (%(default)s)")
    parser.add_argument("--depths", nargs="+", type=float, default=[], metavar="TIMES")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the scores of all slices go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in ("slices", "masks"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: {value} given, 1 or more needed")
    if any(multiple <= 0 for multiple in arguments.depths):
        parser.error(f"--depths: {arguments.depths} given, positive numbers needed")
    try:
        chosen = networks(arguments.weights)
    except InputError as error:
        parser.error(str(error))
    names = list(dict.fromkeys(one.name for one in chosen))
    for name in arguments.only or ():
        if name not in names:
            parser.error(f"--only: {name!r} given; there are {', '.join(names)}")
    chosen = [one for one in chosen if one.name in (arguments.only or names)]
    folder = os.environ.get("DEQLAB_REAL_DATA")
    sets: list[SliceSet] = [Heads(rate, arguments.slices) for rate in arguments.accelerations]
    if folder:
        sets += [Scans(Path(folder), rate, arguments.masks) for rate in arguments.accelerations]
    else:
        print("   DEQLAB_REAL_DATA is not set: no measured scans to judge on")
    kept = {}
    for slices in sets:
        found = compared(chosen, slices)
        rows = [row(name, found, slices.metrics) for name in found]
        print(f"\n== {slices.title}\n{table([heading(slices.metrics), *rows])}\n", flush=True)
        if arguments.depths:
            lines = list(deeper(chosen, slices, arguments.depths))
            print(f"\n== {slices.title}, steps\n{table(lines)}\n", flush=True)
        kept[slices.title] = {
            name: {seed: {m: v.tolist() for m, v in s.items()} for seed, s in by_seed.items()}
            for name, by_seed in found.items()
        }
        if arguments.json:
            with atomic_path(arguments.json) as temporary:
                temporary.write_text(json.dumps(kept) + "\n")
    print(
        "   Means over slices, ± the spread of seeds; differences paired by slice and seed, with"
        " 95 % bootstrap intervals."
    )


if __name__ == "__main__":
    main()
