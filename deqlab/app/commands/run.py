"""Runs notebooks without a browser and collects their figures and results.

Every parameter is checked before anything runs. A notebook that fails does not stop the others; it
is named at the end, and the exit status is 1. OUT receives the executed notebooks, results.json and
results.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deqlab.app.shell import Command, OneOf


def run(
    notebooks: tuple[str, ...],
    parameter: tuple[tuple[str, str], ...],
    budget: str | None,
    out: Path,
    figures: Path | None,
    parameters: bool,
) -> int:
    """0 when every notebook ran to its end, 1 when one failed."""
    from deqlab.app import jobs as study
    from deqlab.app import results, runner

    found = study.find_notebooks(list(notebooks))
    jobs = study.plan(found, list(parameter), budget)
    if parameters:
        for job in jobs:
            print(job.name)
            for declared in job.declared.values():
                declaration = f"{declared.name}: {declared.type} = {declared.default!r}"
                print(f"  {declaration:<36}{declared.help}".rstrip())
        return 0
    where = study.figure_folder(jobs, out, figures)
    finished = runner.run(jobs, out, where)
    print(results.report(finished))
    print(f"executed notebooks and results: {out}\nfigures: {where}")
    failed = {name: run["error"] for name, run in finished.items() if run["status"] == "failed"}
    if failed:
        print(f"\n{len(failed)} of {len(finished)} notebooks failed:", file=sys.stderr)
        for name, error in failed.items():
            print(f"  {name}: {error}", file=sys.stderr)
    return 1 if failed else 0


COMMAND = Command(
    "run",
    callback=run,
    help=__doc__,
    params=[
        click.Argument(["notebooks"], nargs=-1, metavar="[NOTEBOOK]..."),
        click.Option(
            ["-p", "--parameter"],
            nargs=2,
            type=(str, str),
            multiple=True,
            metavar="NAME VALUE",
            help="set a parameter; it goes to those notebooks that have it, and at least one must."
            " A relative path as VALUE starts at the current folder. May be repeated",
        ),
        click.Option(
            ["--budget"],
            type=OneOf(["quick", "full"]),
            help="how long the notebooks may take: minutes or hours (default: as in each, quick)",
        ),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            default=Path("runs/study"),
            show_default=True,
            metavar="DIR",
            help="folder for the results",
        ),
        click.Option(
            ["--figures"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="folder for the figures (default: figures/ of the repository when its own"
            " notebooks run with their default parameters, otherwise OUT/figures)",
        ),
        click.Option(
            ["--parameters"],
            is_flag=True,
            help="print the parameters of the notebooks and end. NOTEBOOK is a path, a number (8 or"
            " 08) or a name (08_find_the_fixed_point); without any, the whole study in order",
        ),
    ],
)
