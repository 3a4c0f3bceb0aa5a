"""Solvers and gradients of equilibria: deqlab beside torchdeq and deepinv, one table and one JSON
file.
"""

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path

# Before torch is imported: its profiler and its allocator report on themselves otherwise.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

import torch
from questions import (
    backward,
    convergence,
    coupling,
    libraries,
    memory,
    overhead,
    precision,
    problems,
    units,
)
from timing import keep_freed_memory
from tqdm import tqdm

from deqlab.core.atomic import atomic_path

QUESTIONS = {
    "convergence": convergence,
    "units": units,
    "overhead": overhead,
    "backward": backward,
    "memory": memory,
    "coupling": coupling,
    "precision": precision,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes: seconds, not minutes; the figures mean little",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=QUESTIONS,
        default=list(QUESTIONS),
        metavar="QUESTION",
        help=", ".join(QUESTIONS),
    )
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/equilibrium.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    # The peers' own remarks would stand in the middle of the table; what matters of them is in its
    # notes.
    warnings.simplefilter("ignore")
    size = problems.QUICK if options.quick else problems.FULL
    report: dict = {"machine": machine(options.threads), "quick": options.quick, "questions": {}}
    print("  ".join(f"{key}: {value}" for key, value in report["machine"].items()))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        question, begin, rows = QUESTIONS[name], time.perf_counter(), []
        report["questions"][name] = {"title": question.TITLE, "notes": question.NOTES, "rows": rows}
        for row in tqdm(question.measure(size), desc=name, unit=" rows", leave=False):
            rows.append(row)
            # After every row, so that an interrupted run leaves what it has.
            with atomic_path(options.json) as path:
                path.write_text(json.dumps(report, indent=1) + "\n")
        show(question, rows)
        print(f"({time.perf_counter() - begin:.0f} s)")
    print(f"\n{options.json}")


def machine(threads: int) -> dict:
    """What the figures depend on besides the code."""
    versions = {
        name: libraries.version(name) or "not installed" for name in ("torch", *libraries.PEERS)
    }
    return {
        "processor": processor_name(),
        "threads": threads,
        "bfloat16": precision.processor(),
        **versions,
    }


def processor_name() -> str:
    """The processor as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def show(question, rows: list[dict]) -> None:
    """One block of the table: title, aligned columns, notes."""
    shown = [question.cells(row) for row in rows]
    columns = list(dict.fromkeys(key for row in shown for key in row))
    lines = [columns, *([_text(row.get(column)) for column in columns] for row in shown)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    print(f"\n== {question.TITLE}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for note in question.NOTES:
        print(f"   {note}")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
