"""What does a gradient cost, and how far from the exact one is it, whatever the scale of the
loss?
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from deqlab.solvers import Anderson, solve
from questions import libraries, problems
from questions.methods import Backward
from questions.watch import Log, Watched, relative_residual

TITLE = "backward: vector-Jacobian products, time, cosine and error to the exact gradient"
SCALES = (1e-4, 1.0, 1e6)
TOLERANCE, BUDGET, FORWARD, EXACT = 1e-3, 60, 1e-4, 1e-10
NOTES = (
    (
        f"Backward to the relative tolerance {TOLERANCE:g}, at most {BUDGET} products; loss: scale"
        " * mean |x - target|^2. The exact gradient: double precision, forward by deqlab and"
        " backward by scipy's GMRES, both to 1e-10. All start at the exact fixed point, rounded,"
        " so that what is seen is the backward's own error; only SHINE, which reads what a forward"
        f" solve has learned, comes from the zero-filled image to {FORWARD:g}, and 'after forward"
        " to 1e-3' shows what a usual forward tolerance costs."
    ),
    (
        "products: backward passes through graphs of f, less the one that reaches the parameters."
        " s: of loss.backward() at scale 1, best of the repeats; with torchdeq's ift a second"
        " evaluation of f is part of it. cosine: the worst over the scales. deepinv has one"
        " threshold for both directions."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a problem and a method."""
    cases = [problems.seeded(*depth, size.pixels) for depth in size.depths]
    if size.more:
        cases += [
            problems.trained("small-de-prox", size.pixels),
            problems.trained("small-de-grad", size.pixels),
        ]
    for problem in cases:
        methods, absent = libraries.backwards(TOLERANCE, BUDGET)
        target = torch.roll(problem.x0, 1, 0)
        fixed_point, exact = exact_gradient(problem.double(), target.to(torch.complex128))
        fixed_point = fixed_point.to(problem.x0.dtype)
        for method in methods:
            row = {"problem": problem.name, "library": method.library, "method": method.method}
            start = fixed_point if method.warm else problem.x0
            yield row | {
                "runs": [
                    _run(problem, method, start, target, exact, scale, size) for scale in SCALES
                ]
            }
        yield from (
            {"problem": problem.name, "library": peer, "method": why}
            for peer, why in absent.items()
        )


def cells(row: dict) -> dict:
    """The row as it is printed."""
    shown = {key: row[key] for key in ("problem", "library", "method")}
    runs = row.get("runs")
    if runs:
        shown["products"] = " / ".join(dict.fromkeys(str(run["products"]) for run in runs))
        shown["s"] = next(run["seconds"] for run in runs if run["scale"] == 1.0)
        shown["cosine"] = f"{min(run['cosine'] for run in runs):.6f}"
        shown |= {f"error at {run['scale']:.0e}": f"{run['error']:.2e}" for run in runs}
    return shown


@dataclass(frozen=True)
class Outer:
    """dL/dx of the loss, up to its scale, for the samples that `select` leaves."""

    target: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.target

    def select(self, index: Tensor) -> "Outer":
        """That of the batch members in `index`."""
        return Outer(self.target[index])


def loss_of(value: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance."""
    return (value - target).abs().square().mean()


def exact_gradient(problem: problems.Problem, target: Tensor) -> tuple[Tensor, Tensor]:
    """The fixed point, and dL/dw there as one vector, by the implicit function theorem, deqlab's
    forward solve and scipy's GMRES.
    """
    solution = solve(problem.f, problem.x0, Anderson(memory=20), EXACT, 1000)
    point = solution.value.requires_grad_()
    output = problem.f(point)
    if float(relative_residual(point, output).max()) > 2 * EXACT:
        raise RuntimeError(f"{problem.name}: no fixed point to {EXACT:g}, so no exact gradient")
    leaf = output.detach().requires_grad_()
    g = torch.autograd.grad(loss_of(leaf, target), leaf)[0]

    def product(v) -> Tensor:
        u = torch.view_as_complex(torch.from_numpy(v.copy()).reshape(*g.shape, 2))
        return (
            torch.view_as_real(u - torch.autograd.grad(output, point, u, retain_graph=True)[0])
            .flatten()
            .numpy()
        )

    right = torch.view_as_real(g).flatten().numpy()
    u, failed = gmres(
        LinearOperator((len(right), len(right)), product, dtype=right.dtype),
        right,
        rtol=EXACT,
        atol=0.0,
        restart=200,
        maxiter=2,
    )
    if failed:
        raise RuntimeError(f"{problem.name}: GMRES missed {EXACT:g}, so no exact gradient")
    u = torch.view_as_complex(torch.from_numpy(u).reshape(*g.shape, 2))
    return point.detach(), _vector(torch.autograd.grad(output, problem.parameters, u))


def _run(
    problem: problems.Problem,
    method: Backward,
    start: Tensor,
    target: Tensor,
    exact: Tensor,
    scale: float,
    size: problems.Size,
) -> dict:
    seconds = []
    # Seconds are shown at scale 1 only.
    for _ in range(min(size.repeats, 3) if scale == 1.0 else 1):
        log = Log(problem.x0.shape[0])
        value = method.attach(Watched(problem.f, log), start, FORWARD, Outer(target))
        before = log.pullbacks
        loss = scale * loss_of(value, target)
        for parameter in problem.parameters:
            parameter.grad = None
        begin = time.perf_counter()
        loss.backward()
        seconds.append(time.perf_counter() - begin)
    found = _vector([parameter.grad for parameter in problem.parameters]).double() / scale
    return {
        "scale": scale,
        "products": log.pullbacks - before - 1,
        "seconds": min(seconds),
        "cosine": float(torch.dot(found, exact) / (found.norm() * exact.norm())),
        "error": float((found - exact).norm() / exact.norm()),
    }


def _vector(gradients) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])
