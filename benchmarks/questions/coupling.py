"""Does the company of easy samples change a hard one, or a hard one the work on the easy ones?"""

from collections.abc import Iterator

import torch

from questions import libraries, problems
from questions.methods import Forward
from questions.watch import Log, Watched, relative_residual

TITLE = "one hard sample among seven easy ones"
TOLERANCE, BUDGET = 1e-3, 100
EASY, HARD = 0.3, 0.97
NOTES = (
    (
        f"Symmetric linear contractions, rho = {HARD} among seven with rho = {EASY}, to"
        f" {TOLERANCE:g}. hard residual: true one of the hard sample's answer, alone and in"
        " company; moved: how far company moves that answer, relative to it. easy evaluations: of"
        " the first easy sample."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a method."""
    methods, absent = libraries.forwards(5)
    rates = [EASY] * 7
    f = problems.symmetric_contraction([*rates[:3], HARD, *rates[3:]], size.unknowns)
    yield from (
        {"library": method.library, "method": method.method, **_run(f, method)}
        for method in methods
    )
    yield from ({"library": peer, "method": why} for peer, why in absent.items())


def cells(row: dict) -> dict:
    """The row as it is printed."""
    return row


@torch.no_grad()
def _run(f: problems.LinearMap, method: Forward) -> dict:
    together, log = _solve(f, method)
    residuals = relative_residual(together, f(together))
    (alone, _), (_, easy) = (_solve(f.select(torch.tensor([member])), method) for member in (3, 0))
    moved = (together[3] - alone[0]).norm() / alone.norm()
    hard = f.select(torch.tensor([3]))
    return {
        "hard residual alone": float(relative_residual(alone, hard(alone))),
        "hard residual in company": float(residuals[3]),
        "moved": float(moved),
        "easy evaluations alone": len(easy.residuals[0]),
        "easy evaluations in company": len(log.residuals[0]),
    }


def _solve(f: problems.LinearMap, method: Forward) -> tuple[torch.Tensor, Log]:
    log = Log(len(f.b))
    return method.solve(Watched(f, log), torch.zeros_like(f.b), TOLERANCE, BUDGET), log
