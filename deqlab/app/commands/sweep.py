"""Runs one command for every cell of a grid, several at a time, and compares what they came to.

`train` trains and judges a model in every cell, `notebook` runs a notebook, `table` compares. Every
cell is checked before anything runs; one that fails does not stop the others; the same command
again runs only what is missing. OUT receives a folder for each cell and results.parquet, a row for
every number with its axes and what produced it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deqlab.app.shell import Command, Group, NameOf
from deqlab.app.sweep.clusters import CLUSTERS
from deqlab.core.errors import InputError

if TYPE_CHECKING:
    from deqlab.app.sweep.of_notebook import Notebook
    from deqlab.app.sweep.of_training import Training

PATH = click.Path(path_type=Path)


def _train(words: tuple[str, ...], judge: str, validate: bool, **chosen: Any) -> int:
    from deqlab.app.sweep.of_training import Training

    return _run(Training(words, judge, validate), **chosen)


def _notebook(
    name: str, parameter: tuple[tuple[str, str], ...], budget: str | None, **chosen: Any
) -> int:
    from deqlab.app.sweep.of_notebook import Notebook

    return _run(Notebook(name, parameter, budget), **chosen)


def _run(
    kind: Training | Notebook,
    grid: tuple[str, ...],
    cells: Path | None,
    out: Path,
    jobs: int,
    on: str,
    cluster: tuple[str, ...],
    dry_run: bool,
) -> int:
    """0 when all cells ended well, 1 when one failed."""
    from deqlab.app.sweep.cells import cells as cells_of
    from deqlab.app.sweep.clusters import checked
    from deqlab.app.sweep.collect import collect
    from deqlab.app.sweep.run_cells import run
    from deqlab.core.options import updated

    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 needed")
    workers = updated(CLUSTERS.defaults(on), _pairs("--cluster", cluster))
    found = [kind.cell(values, out) for values in cells_of(grid, cells)]
    if dry_run:
        print("\n".join(cell.command for cell in found))
        return 0
    checked()
    out.mkdir(parents=True, exist_ok=True)
    outcomes = run(found, workers, jobs)
    path = collect(found, outcomes, kind.measured, out)
    failed = [cell for cell, outcome in zip(found, outcomes) if outcome["status"] != "ok"]
    print(f"{len(found) - len(failed)} of {len(found)} cells ended well; results: {path}")
    for cell, outcome in zip(found, outcomes):
        if outcome["status"] != "ok":
            print(f"failed: {cell.name}: {outcome['error']}", file=sys.stderr)
    return 1 if failed else 0


def _table(
    results: Path,
    metric: str,
    method: str,
    by: tuple[str, ...],
    tuned: tuple[str, ...],
    tuned_by: str | None,
    against: tuple[str, ...],
    plot: Path | None,
) -> None:
    from deqlab.app.sweep.clusters import checked
    from deqlab.app.sweep.collect import read
    from deqlab.app.sweep.summary import Question, answer, text

    checked()
    axes, rows = read(results)
    rival = _pairs("--against", against)
    chosen = by or tuple(axis for axis in axes if axis != "seed" and axis not in tuned)
    question = Question(metric, method, chosen, tuned, tuned_by, rival or None)
    groups = answer(question, axes, rows)
    print(text(question, groups))
    failed = len({row["cell"] for row in rows if row["status"] != "ok"})
    if failed:
        print(f"{failed} cells failed and are left out", file=sys.stderr)
    if plot:
        from deqlab.app.sweep.plot import draw

        draw(question, groups, plot)


def _pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for word, (name, equals, _) in zip(words, pairs):
        if not name or not equals:
            raise InputError(f"{flag} {word}: NAME=VALUE needed")
    return {name: value for name, _, value in pairs}


CELLS = [
    click.Option(
        ["--grid"],
        multiple=True,
        metavar="NAME=VALUE,VALUE,...",
        help="an axis; all combinations are run. Values with commas are separated by semicolons",
    ),
    click.Option(
        ["--cells"],
        type=PATH,
        metavar="FILE.csv",
        help="a row for each cell, a column for each axis, in place of the grid or beside it",
    ),
    click.Option(["--out"], type=PATH, required=True, metavar="DIR", help="folder of the sweep"),
    click.Option(
        ["--jobs"], type=int, default=1, show_default=True, help="cells that run at a time"
    ),
    click.Option(
        ["--on"],
        type=NameOf(CLUSTERS),
        default="local",
        show_default=True,
        help="this machine, or jobs of a Slurm cluster",
    ),
    click.Option(
        ["--cluster"],
        multiple=True,
        metavar="NAME=VALUE",
        help="of the cluster's jobs: "
        + "; ".join(f"{name}: {CLUSTERS.page(name)}" for name in CLUSTERS if name != "local"),
    ),
    click.Option(["--dry-run"], is_flag=True, help="check all cells and print their commands"),
]
COMMAND = Group(
    "sweep",
    help=__doc__,
    commands={
        "train": Command(
            "train",
            callback=_train,
            help="Trains and judges a model in every cell. WORDS are those of `deqlab train`, after"
            " a --; an axis is a flag of that command or else an option as `--set` takes it.",
            params=[
                *CELLS,
                click.Option(
                    ["--judge"],
                    default="--baselines none",
                    show_default=True,
                    metavar="WORDS",
                    help="words of `deqlab evaluate` for the trained model; {AXIS} stands for the"
                    " value of an axis",
                ),
                click.Option(
                    ["--validate"],
                    is_flag=True,
                    help="judge on validation heads too, for `sweep table --tuned`",
                ),
                click.Argument(["words"], nargs=-1, metavar="[-- WORDS...]"),
            ],
        ),
        "notebook": Command(
            "notebook",
            callback=_notebook,
            help="Runs a notebook in every cell, an axis being one of its parameters.",
            params=[
                click.Argument(["name"], metavar="NOTEBOOK"),
                *CELLS,
                click.Option(
                    ["-p", "--parameter"],
                    nargs=2,
                    type=(str, str),
                    multiple=True,
                    metavar="NAME VALUE",
                    help="a parameter that all cells share",
                ),
                click.Option(["--budget"], metavar="[quick|full]", help="of every run"),
            ],
        ),
        "table": Command(
            "table",
            callback=_table,
            help="Compares the cells of a sweep: the mean for each value of the axes of interest,"
            " its spread over the others, such as seeds, and the paired difference from a rival"
            " with a 95 % bootstrap interval over both cells and volumes.",
            params=[
                click.Argument(["results"], type=PATH),
                click.Option(
                    ["--metric"], default="psnr", show_default=True, help="what to compare"
                ),
                click.Option(
                    ["--method"],
                    default="trained",
                    show_default=True,
                    help="whose numbers: trained, a tuned method, or notebook",
                ),
                click.Option(
                    ["--by"],
                    multiple=True,
                    metavar="AXIS",
                    help="axes of interest (default: all but seed)",
                ),
                click.Option(
                    ["--tuned"],
                    multiple=True,
                    metavar="AXIS",
                    help="an axis whose value validation heads choose, for each group alone",
                ),
                click.Option(
                    ["--tuned-by"],
                    metavar="METRIC",
                    help="the metric by which it is chosen (default: the one that is compared)",
                ),
                click.Option(
                    ["--against"],
                    multiple=True,
                    metavar="AXIS=VALUE",
                    help="the rival's values of axes of interest",
                ),
                click.Option(["--plot"], type=PATH, metavar="FILE.png", help="draw the table too"),
            ],
        ),
    },
)
