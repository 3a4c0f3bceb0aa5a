"""How many evaluations of f, and how long, until every sample of the batch is truly within a
tolerance?
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, gmres

from questions import libraries, problems
from questions.methods import Forward
from questions.watch import Log, Watched, relative_residual

TITLE = "evaluations and seconds to a tolerance"
TOLERANCES = (1e-2, 1e-4, 1e-6)
MEMORY, BUDGET = 5, 100
NOTES = (
    (
        "to T: evaluations of f until every sample of the batch had been at an iterate whose own"
        " relative residual, measured here, is within T, whenever the library would stop; s to T:"
        " seconds until then; asked T: evaluations that the library took when asked for T, and"
        " 'over' where its answer is not within T."
    ),
    (
        "Memory: m differences of deqlab are m + 1 points of a peer; torchdeq's Broyden keeps all,"
        " deqlab's 20 corrections. torchdeq stops by the largest relative residual of the batch"
        " (stop_mode='rel', not its default), deepinv by the batch mean of the relative change"
        " between iterates. The peers' Anderson adds 1e-4 to the Gram matrix, deqlab's 1e-6 of its"
        " diagonal."
    ),
    "GMRES: scipy's, unrestarted, on (I - J) x = b; its products and the one evaluation f(0) = b.",
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a problem and a method."""
    cases = [(problems.linear(0.97, size.unknowns), memory) for memory in (MEMORY, 10, 20)]
    cases += [(problems.seeded(*depth, size.pixels), MEMORY) for depth in size.depths]
    if size.more:
        cases.append((problems.trained("small-de-prox", size.pixels), MEMORY))
    reference = cases[0][0]
    yield {
        "problem": reference.name,
        "library": "scipy",
        "method": "GMRES",
        "runs": _gmres(reference),
    }
    for problem, memory in cases:
        methods, absent = libraries.forwards(memory)
        if memory != MEMORY:
            methods = [method for method in methods if method.remembers]
        for method in methods:
            if problem.symmetric or not method.symmetric:
                yield {
                    "problem": problem.name,
                    "library": method.library,
                    "method": method.method,
                    "runs": _runs(problem, method),
                }
        yield from (
            {"problem": problem.name, "library": peer, "method": why}
            for peer, why in absent.items()
        )


def cells(row: dict) -> dict:
    """The row as it is printed."""
    shown = {key: row[key] for key in ("problem", "library", "method")}
    for run in row.get("runs", ()):
        T = f"{run['tolerance']:.0e}"
        shown[f"to {T}"] = run["evaluations"] or unreached(row["runs"][-1]["taken"], BUDGET)
    for run in row.get("runs", ()):
        if "taken" in run:
            over = "" if run["residual"] <= run["tolerance"] else f" over ({run['residual']:.1e})"
            shown[f"asked {run['tolerance']:.0e}"] = f"{run['taken']}{over}"
    for run in row.get("runs", ()):
        shown[f"s to {run['tolerance']:.0e}"] = run.get("seconds")
    return shown


def unreached(taken: int, budget: int) -> str:
    """What stands where no evaluation reached a tolerance."""
    return f"> {budget}" if taken >= budget else f"stopped at {taken}"


@torch.no_grad()
def _runs(problem: problems.Problem, method: Forward) -> list[dict]:
    """One run for each tolerance. Where a library stopped too early for T, its runs for smaller
    ones show when the iteration got there.
    """
    logs, runs = [], []
    for tolerance in TOLERANCES:
        log = Log(len(problem.x0))
        log.start()
        value = method.solve(Watched(problem.f, log), problem.x0, tolerance, BUDGET)
        residual = float(relative_residual(value, problem.f(value)).max())
        logs.append(log)
        runs.append({"tolerance": tolerance, "taken": log.calls, "residual": residual})
    for index, run in enumerate(runs):
        seen = [log.reached(run["tolerance"]) for log in logs[index:]]
        run["evaluations"], run["seconds"] = next(filter(None, seen), (None, None))
    return runs


def _gmres(problem: problems.Problem) -> list[dict]:
    f, b = problem.f, problem.f.b[0].numpy()
    operator = LinearOperator((len(b), len(b)), lambda v: v - f.J[0].numpy() @ v)
    runs = []
    for tolerance in TOLERANCES:
        for products in range(1, BUDGET):
            x = torch.from_numpy(
                gmres(
                    operator,
                    b,
                    x0=np.zeros_like(b),
                    rtol=0.0,
                    atol=0.0,
                    restart=products,
                    maxiter=1,
                )[0]
            )[None]
            if float(relative_residual(x, f(x))) <= tolerance:
                break
        runs.append({"tolerance": tolerance, "evaluations": products + 1})
    return runs
