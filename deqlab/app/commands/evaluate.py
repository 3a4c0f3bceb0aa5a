"""Measures reconstructors on fully sampled files: the metrics asked for per volume, and which
slices converged.

All models see the same k-space, and so do classical methods, whose weights are tuned beforehand on
validation heads under the same conditions. The table gives mean and standard deviation over
volumes, and how far PSNR lies above that of the rival on the same volumes, with a 95 % bootstrap
interval. The rival is the tuned method with the highest mean PSNR, at each acceleration; without
tuned ones it is the first model. --json keeps every volume's row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deqlab.app.preparation import PREPARATION
from deqlab.app.shell import (
    DEVICE,
    SET,
    Command,
    NameOf,
    OneOf,
    flags,
    labels,
    page_of,
    said,
    settings,
)

MODELS = ("zero-filled", "de-ridge", "de-grad-measured")


def run(
    model: tuple[str, ...],
    words: tuple[str, ...],
    baselines: tuple[str, ...],
    data: tuple[str, ...],
    split: str,
    coil_maps: str,
    whiten: str,
    metrics: tuple[str, ...],
    device: str,
    json_file: Path | None,
    tolerance: float | None,
    max_evaluations: int | None,
    **chosen: Any,
) -> None:
    """Prints the table."""
    from tqdm import tqdm

    from deqlab.core.atomic import atomic_path
    from deqlab.core.device import device_by_name
    from deqlab.data.files import split_files
    from deqlab.data.prepare.stored_maps import coil_maps_by_name
    from deqlab.evaluation import baselines as classical
    from deqlab.evaluation.conditions import Conditions
    from deqlab.evaluation.judge import best_of, evaluate, summarise, table_text
    from deqlab.recon.base import Budget
    from deqlab.recon.weights import ready
    from deqlab.signal.coils.registry import WHITENING

    names = classical.named(baselines)
    given = said(chosen)
    if "slices" in given:
        given["slices"] = list(given["slices"])
    conditions = Conditions(
        coil_maps=coil_maps_by_name(coil_maps), whiten=WHITENING.make(whiten), **given
    )
    budget = Budget(tolerance, max_evaluations)
    where, options = device_by_name(device), settings(words, model)
    methods = {}
    for name, label in labels(model).items():
        methods[label] = method = ready(name, options[name])
        method.check(budget)
        method.to(where)
    files = split_files(data, split)
    rates = conditions.acceleration
    total = len(rates) * (len(names) + len(files) * (len(methods) + len(names)))
    # None: no bar in a log.
    with tqdm(total=total, desc="evaluating", unit="volume", disable=None) as bar:

        def progress(label: str) -> None:
            bar.set_postfix_str(label)
            bar.update()

        chosen_weights = {
            rate: classical.baselines(names, conditions, rate, where, progress=progress)
            for rate in rates
        }
        tuned = {
            rate: {f"tuned {one.name}": one.method for one in found}
            for rate, found in chosen_weights.items()
        }
        rows = evaluate(
            methods,
            files,
            conditions,
            baselines=tuned,
            budget=budget,
            # By PSNR methods are told from their rivals, whatever else is asked for.
            metrics=tuple(dict.fromkeys(("psnr", *metrics))),
            device=where,
            progress=progress,
        )
    contenders = {label for found in tuned.values() for label in found} or {next(iter(methods))}
    table = summarise(rows, best_of(rows, contenders))
    for rate, found in chosen_weights.items() if names else ():
        print(f"weights tuned at {rate:g}x: {', '.join(map(str, found))}")
    print(table_text(table))
    if json_file:
        weights = {f"{rate:g}": {b.name: b.weight for b in chosen_weights[rate]} for rate in rates}
        content = {"summary": table, "rows": [row.to_json() for row in rows], "baselines": weights}
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")


def _command() -> Command:
    from deqlab.evaluation.baselines import COARSE
    from deqlab.evaluation.conditions import Conditions
    from deqlab.metrics.registry import METRICS
    from deqlab.metrics.usual import USUAL
    from deqlab.recon.base import Budget
    from deqlab.signal.sampling.masks import MASKS

    asked = ("acceleration", "center_fraction", "mask", "seed")
    return Command(
        "evaluate",
        callback=run,
        help=__doc__,
        pages=page_of,
        moved={
            "--option": "--set [MODEL.]NAME=VALUE",
            "--cg-weight": "--set cg-sense.weight=VALUE",
        },
        params=[
            click.Option(
                ["--model"],
                multiple=True,
                default=MODELS,
                show_default=True,
                metavar="NAME",
                help="names, or .json cards of trained weights",
            ),
            SET,
            click.Option(
                ["--baselines"],
                multiple=True,
                default=tuple(COARSE),
                show_default=True,
                metavar="NAME",
                help="classical methods to be tuned and judged as well, or none",
            ),
            click.Option(
                ["--data"],
                multiple=True,
                default=("builtin",),
                show_default=True,
                metavar="PATH",
                help="files or folders",
            ),
            click.Option(
                ["--split"],
                type=OneOf(["train", "val", "test"]),
                default="test",
                show_default=True,
                help="of simulated data",
            ),
            *flags(Conditions, asked, {"mask": NameOf(MASKS)}),
            click.Option(
                ["--slices"],
                type=int,
                multiple=True,
                metavar="I",
                help="default: 11 to 27 where a volume has them, else all",
            ),
            click.Option(
                ["--metrics"],
                type=NameOf(METRICS),
                multiple=True,
                default=USUAL,
                show_default=True,
                help="what images are judged by, besides PSNR",
            ),
            *PREPARATION,
            *flags(Budget, ("tolerance", "max_evaluations")),
            DEVICE,
            click.Option(
                ["--json", "json_file"],
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="write every row there",
            ),
        ],
    )


COMMAND = _command()
