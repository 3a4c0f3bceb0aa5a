"""Does the unit in which an image is measured change the number of evaluations?"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from questions import libraries, problems
from questions.convergence import unreached
from questions.methods import Forward
from questions.watch import Log, Watched

TITLE = "evaluations when the same image comes in other units"
SCALES = (1e-6, 1e-3, 1.0, 1e4)
TOLERANCE, BUDGET = 1e-4, 100
NOTES = (
    (
        "The first seeded denoiser, which commutes with the scale of an image, with k-space times"
        f" the number above: evaluations until every sample was truly within {TOLERANCE:g}. An"
        " iteration that knows no unit has one number in all columns."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a method."""
    problem = problems.seeded(*size.depths[0], size.pixels)
    methods, absent = libraries.forwards(5)
    for method in methods:
        if not method.symmetric:
            runs = [_run(problem, method, scale) for scale in SCALES]
            yield {
                "problem": problem.name,
                "library": method.library,
                "method": method.method,
                "runs": runs,
            }
    yield from (
        {"problem": problem.name, "library": peer, "method": why} for peer, why in absent.items()
    )


def cells(row: dict) -> dict:
    """The row as it is printed."""
    shown = {key: row[key] for key in ("problem", "library", "method")}
    return shown | {
        run["scale"]: run["evaluations"] or unreached(run["taken"], BUDGET)
        for run in row.get("runs", ())
    }


@torch.no_grad()
def _run(problem: problems.Problem, method: Forward, scale: float) -> dict:
    f = replace(problem.f, projection=scale * problem.f.projection)
    log = Log(len(problem.x0))
    # Asked for more than is read off, so that a lax criterion does not end the iteration first.
    method.solve(Watched(f, log), scale * problem.x0, TOLERANCE / 100, BUDGET)
    reached = log.reached(TOLERANCE)
    return {
        "scale": f"{scale:.0e}",
        "evaluations": None if reached is None else reached[0],
        "taken": log.calls,
    }
