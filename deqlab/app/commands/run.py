"""Runs notebooks without a browser and collects their figures and results.

Every parameter is checked before anything runs. A notebook that fails does not stop the others; it
is named at the end, and the exit status is 1. OUT receives the executed notebooks, results.json and
results.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The parser knows the options of `deqlab run`."""
    parser.add_argument(
        "notebooks",
        metavar="NOTEBOOK",
        nargs="*",
        help="a path, a number (8 or 08) or a name (08_find_the_fixed_point); "
        "without any, the whole study in order",
    )
    parser.add_argument(
        "-p",
        "--parameter",
        metavar=("NAME", "VALUE"),
        nargs=2,
        action="append",
        default=[],
        help="set a parameter; it goes to those notebooks that have it, and at least one "
        "must. A relative path as VALUE starts at the current folder. May be repeated",
    )
    parser.add_argument(
        "--budget",
        choices=("quick", "full"),
        help="how long the notebooks may take: minutes or hours (default: as in each, quick)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("runs/study"),
        help="folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--figures",
        metavar="DIR",
        type=Path,
        help="folder for the figures (default: figures/ of the repository when its own "
        "notebooks run with their default parameters, otherwise OUT/figures)",
    )
    parser.add_argument(
        "--parameters", action="store_true", help="print the parameters of the notebooks and end"
    )


def main(args: argparse.Namespace) -> int:
    """0 when every notebook ran to its end, 1 when one failed."""
    from deqlab.app import results, runner

    notebooks = runner.find_notebooks(args.notebooks)
    jobs = runner.plan(notebooks, [(name, value) for name, value in args.parameter], args.budget)
    if args.parameters:
        for job in jobs:
            print(job.name)
            for parameter in job.declared.values():
                declaration = f"{parameter.name}: {parameter.type} = {parameter.default!r}"
                print(f"  {declaration:<36}{parameter.help}".rstrip())
        return 0
    figures = runner.figure_folder(jobs, args.out, args.figures)
    finished = runner.run(jobs, args.out, figures)
    print(results.report(finished))
    print(f"executed notebooks and results: {args.out}\nfigures: {figures}")
    failed = {name: run["error"] for name, run in finished.items() if run["status"] == "failed"}
    if failed:
        print(f"\n{len(failed)} of {len(finished)} notebooks failed:", file=sys.stderr)
        for name, error in failed.items():
            print(f"  {name}: {error}", file=sys.stderr)
    return 1 if failed else 0
