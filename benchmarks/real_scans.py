"""Models on scans that no weight has seen, beside classical methods at their best weight for each;
on scans turned, cropped and noisy; on test heads; on a bottle; and against the clock.

The folder that DEQLAB_REAL_DATA names holds fully sampled files in fastMRI's schema; where it is
not set, only those questions are asked that need none. A row is printed as soon as it is there,
then the means, spreads, least and most of each group. What classical methods reach is kept in the
cache folder, so that a run that was interrupted, or one of other models, does not solve them again;
several runs at once, each with its own --only, share it.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scans import bottle, duration, harder, margins, spokes, stops, turns
from scans.cases import Effort, Row
from scans.judging import Models

from deqlab.core.errors import InputError
from deqlab.core.text_table import table
from deqlab.recon import load
from deqlab.recon.fixed_point import FixedPointMethod

QUESTIONS = {
    "margins": margins,
    "turns": turns,
    "harder": harder,
    "stops": stops,
    "bottle": bottle,
    "spokes": spokes,
    "duration": duration,
}
QUICK = Effort(1, (4.0,), 1, 1, 1)


def main() -> None:
    """Asks every question, or those of --only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        nargs="+",
        default=["de-grad-measured"],
        metavar="NAME_OR_CARD",
        help="equilibria",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--masks", type=int, help="of each kind (default: 5 for margins and bottle, 1 elsewhere)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one mask, 4x, one head: the figures mean little"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=QUESTIONS,
        default=list(QUESTIONS),
        metavar="QUESTION",
        help=", ".join(QUESTIONS),
    )
    arguments = parser.parse_args()
    if arguments.masks is not None and arguments.masks < 1:
        parser.error(f"--masks: {arguments.masks} given, 1 or more needed")
    torch.set_num_threads(arguments.threads)
    try:
        models = equilibria(arguments.model)
    except InputError as error:
        parser.error(str(error))
    named = os.environ.get("DEQLAB_REAL_DATA")
    folder = Path(named) if named else None
    effort = QUICK if arguments.quick else Effort()
    if arguments.masks is not None:
        effort = replace(effort, masks=arguments.masks)
    for name in arguments.only:
        ask(QUESTIONS[name], models, folder, effort)


def equilibria(names: Sequence[str]) -> Models:
    """Models by the stems of their cards; InputError for one that is no equilibrium."""
    models = {}
    for name in names:
        model = load(name)
        if not isinstance(model, FixedPointMethod):
            raise InputError(f"--model: {name} given, an equilibrium needed")
        models[Path(name).stem if name.endswith(".json") else name] = model
    return models


@torch.no_grad()
def ask(question, models: Models, folder: Path | None, effort: Effort) -> None:
    """One question's rows, then their summary."""
    print(f"\n== {question.TITLE}")
    if question.NEEDS_SCANS and folder is None:
        print("   DEQLAB_REAL_DATA is not set: no measured scans to ask about")
        return
    begin, rows = time.perf_counter(), []
    try:
        for row in question.rows(models, folder, effort):
            rows.append(row)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in row.values.items())
            print(f"{row.name}: {shown}", flush=True)
    except InputError as error:
        print(f"   {error}")
    for summary in summaries(rows):
        print(f"\n{summary}")
    for note in question.NOTES:
        print(f"   {note}")
    print(f"({time.perf_counter() - begin:.0f} s)", flush=True)


def summaries(rows: Sequence[Row]) -> list[str]:
    """A table for each group of rows."""
    tables = []
    for group in dict.fromkeys(row.group for row in rows):
        chosen = [row.values for row in rows if row.group == group]
        lines = [[f"{group}, {len(chosen)} rows", "mean", "spread", "least", "most"]]
        for key in chosen[0]:
            values = np.array([row[key] for row in chosen], dtype=float)
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            parts = values.mean(), spread, values.min(), values.max()
            lines.append([key, *(f"{part:.3g}" for part in parts)])
        tables.append(table(lines))
    return tables


if __name__ == "__main__":
    main()
