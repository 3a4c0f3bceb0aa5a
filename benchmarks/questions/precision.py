"""Does a denoiser in bfloat16, with the state in float32, halve the time of a solve?"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from timing import ratios
from torch import Tensor, nn

from deqlab.solvers import Anderson, Solution, solve
from questions import problems
from questions.watch import relative_residual

TITLE = "a bfloat16 denoiser with a float32 state against float32 throughout"
TOLERANCE, COARSE, BUDGET = 1e-3, 1e-2, 50
NOTES = (
    (
        f"Anderson(5) to {TOLERANCE:g}. bfloat16 throughout is judged by the float32 residual of"
        f" its answer; 'finished' goes to {COARSE:g} in bfloat16 and from there in float32. x"
        " float32: time over that of the solve in float32, or of one evaluation. Where an"
        " evaluation gains nothing, no solve is."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """Rows for one evaluation and, where that is faster in bfloat16, for two ways to solve; for
    each denoiser.
    """
    cases = [problems.seeded(*depth, size.pixels) for depth in size.depths]
    if size.more:
        cases.append(problems.trained("small-de-prox", size.pixels))
    yield from (
        {"problem": problem.name, **row} for problem in cases for row in _rows(problem, size)
    )


def cells(row: dict) -> dict:
    """The row as it is printed."""
    return row


def processor() -> str:
    """Whether this CPU computes in bfloat16, as far as its flags tell."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return "not known for this system"
    known = [flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags]
    return (
        f"yes ({', '.join(known)})" if known else "no: it is emulated, so no gain is to be expected"
    )


@torch.no_grad()
def _rows(problem: problems.Problem, size: problems.Size) -> list[dict]:
    f, x0, solver = problem.f, problem.x0, Anderson(memory=5)
    low = replace(f, denoiser=_Lowered(f.denoiser))

    def full():
        return solve(f, x0, solver, TOLERANCE, BUDGET)

    def lowered():
        return solve(low, x0, solver, TOLERANCE, BUDGET)

    def begun():
        return solve(low, x0, solver, COARSE, BUDGET)

    def finished():
        return solve(f, begun(), solver, TOLERANCE, BUDGET)

    one = {"way": "one evaluation", "x float32": _ratio(lambda: f(x0), lambda: low(x0), size)}
    if one["x float32"] >= 1:
        return [
            one,
            {"way": "a solve: not timed, for each of its evaluations in bfloat16 is slower"},
        ]

    def row(
        way: str,
        call: Callable[[], Solution],
        coarse: Solution | None = None,
        fine: Solution | None = None,
    ) -> dict:
        counts = {"in bfloat16": _evaluations(coarse), "in float32": _evaluations(fine)}
        answer = (fine or coarse).value
        residual = float(relative_residual(answer, f(answer)).max())
        return {"way": way, "x float32": _ratio(full, call, size), **counts, "residual": residual}

    return [
        one,
        row("float32", full, fine=full()),
        row("bfloat16", lowered, coarse=lowered()),
        row("finished in float32", finished, coarse=begun(), fine=finished()),
    ]


def _ratio(reference: Callable, call: Callable, size: problems.Size) -> float:
    return ratios(reference, call, size.repeats, 1)["ratio"]


def _evaluations(solution: Solution | None) -> int:
    return int(solution.evaluations.max()) if solution else 0


class _Lowered(nn.Module):
    """The denoiser under autocast; its input and output keep their precision."""

    def __init__(self, denoiser: nn.Module):
        super().__init__()
        self.denoiser = denoiser

    def forward(self, image: Tensor) -> Tensor:
        """R(x) in bfloat16."""
        with torch.autocast(image.device.type, torch.bfloat16):
            return self.denoiser(image)
