"""What does a solve cost over the bare evaluations of f that it makes?"""

import statistics
import time
from collections.abc import Iterator

import torch
from timing import ratios

from questions import libraries, problems
from questions.methods import Forward
from questions.watch import Log, Watched

TITLE = "time of a solve over its bare evaluations"
EVALUATIONS = 12
NOTES = (
    (
        "Tolerance 0, so that the budget is spent. solve / bare: solve and bare evaluations take"
        " turns, median of the ratios; where a solver takes products with J^T too, the bare side"
        " records every evaluation and takes as many products. solve / f inside: time of a solve"
        " over the time that f takes within that very solve, median; no drift of the machine's"
        " speed enters."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a seeded denoiser and a method."""
    for depth in size.depths:
        problem = problems.seeded(*depth, size.pixels)
        methods, absent = libraries.forwards(5)
        for method in methods:
            if not method.symmetric:
                yield {
                    "problem": problem.name,
                    "library": method.library,
                    "method": method.method,
                    **_run(problem, method, size),
                }
        yield from (
            {"problem": problem.name, "library": peer, "method": why}
            for peer, why in absent.items()
        )


def cells(row: dict) -> dict:
    """The row as it is printed."""
    return row


def _run(problem: problems.Problem, method: Forward, size: problems.Size) -> dict:
    log = Log(problem.x0.shape[0])
    with torch.no_grad():
        method.solve(Watched(problem.f, log), problem.x0, 0.0, EVALUATIONS)
        result = ratios(
            lambda: _bare(problem, log.calls, log.pullbacks),
            lambda: method.solve(problem.f, problem.x0, 0.0, EVALUATIONS),
            size.repeats,
            1,
        )
    return {
        "evaluations": log.calls,
        "products": log.pullbacks,
        "ms an evaluation": result["reference"] / log.calls * 1e3,
        "solve / bare": result["ratio"],
        "solve / f inside": None if log.pullbacks else _inside(problem, method, size.repeats),
    }


def _bare(problem: problems.Problem, evaluations: int, products: int) -> None:
    if not products:
        for _ in range(evaluations):
            problem.f(problem.x0)
        return
    for index in range(evaluations):
        with torch.enable_grad():
            x = problem.x0.detach().requires_grad_()
            fx = problem.f(x)
        for _ in range(products // evaluations + (index < products % evaluations)):
            torch.autograd.grad(fx, x, fx.detach(), retain_graph=True)


@torch.no_grad()
def _inside(problem: problems.Problem, method: Forward, repeats: int) -> float:
    ratios = []
    for _ in range(repeats):
        spent = 0.0

        def f(x: torch.Tensor) -> torch.Tensor:
            nonlocal spent
            begin = time.perf_counter()
            fx = problem.f(x)
            spent += time.perf_counter() - begin
            return fx

        begin = time.perf_counter()
        method.solve(f, problem.x0, 0.0, EVALUATIONS)
        ratios.append((time.perf_counter() - begin) / spent)
    return statistics.median(ratios)
