"""The implicit function theorem as one plain function, and the rule that uses it.

At a fixed point x = f(x, w), differentiation of both sides gives dx = (I - J)^-1 (df/dw) dw with J
= df/dx. A loss with cotangent g = dL/dx therefore has dL/dw = (df/dw)^T u, where u solves u = J^T u
+ g: again a fixed point, linear this time, and it needs products with J^T only.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.equilibrium.graph import Transpose, attach
from deqlab.solvers import Anderson, RelativeResidual, Solution, solve
from deqlab.solvers.criterion import per_sample_budget, per_sample_tolerance
from deqlab.solvers.flat import State, StateT, batch_size, precision
from deqlab.solvers.protocol import AnySolver, StateMap

TOLERANCE = 1e-3  # of a backward solve, where the state's rounding allows it


def adjoint_fixed_point(
    transpose: Transpose,
    cotangent: Tensor,
    solver: AnySolver = Anderson(),
    tolerance: float | Tensor = 1e-3,
    max_evaluations: int | Tensor = 50,
) -> Solution[Tensor]:
    """u = J^T u + g per sample, to the relative residual `tolerance`: independent of the scale of
    the loss.

    transpose: u -> J^T u, the vector-Jacobian product of f at the fixed point, for tensors like
        `cotangent`.
    cotangent: g = dL/dx, real or complex (batch, ...).
    The samples of a batch are coupled by nothing, so J is block diagonal and every sample converges
    for itself.
    Source: S. Bai, J. Z. Kolter and V. Koltun, Deep equilibrium models, NeurIPS 2019, theorem 1.
    """
    return solve(lambda u: transpose(u) + cotangent, cotangent, solver, tolerance, max_evaluations)


@dataclass(frozen=True)
class ImplicitGradient:
    """dL/dw = (df/dw)^T u with u = J^T u + g, solved to `tolerance`: exact up to that tolerance and
    the forward one.

    solver, tolerance, max_evaluations: of the backward solve, as in `deqlab.solvers.solve`; one
    evaluation is one vector-Jacobian product. A tolerance of None is 1e-3, or the rounding of the
    state where that is coarser, as in bfloat16.
    observe: called with the Solution of every backward solve.
    Keeps one graph of one evaluation of f, whatever the forward solve took. The first backward
    solve of a rule that falls short of its tolerance is a DeqlabWarning that says by how much; the
    best u found is used.
    """

    solver: AnySolver = Anderson()
    tolerance: float | Tensor | None = None
    max_evaluations: int | Tensor = 30
    observe: Callable[[Solution], None] | None = None

    def __post_init__(self) -> None:
        # Here and not in the backward pass, which comes after the whole forward solve.
        tolerance = self.tolerance_in(torch.float64)
        per_sample_tolerance(tolerance, _entries(tolerance), RelativeResidual(), torch.float64)
        per_sample_budget(self.max_evaluations, _entries(self.max_evaluations))

    @cached_property
    def _told(self) -> list[str]:
        # Kept by the object and no option of it: a warning in every step of a training run would
        # bury all others.
        return []

    def tolerance_in(self, dtype: torch.dtype) -> float | Tensor:
        """The tolerance of a backward solve in real numbers of this precision."""
        if self.tolerance is None:
            return max(TOLERANCE, RelativeResidual().smallest(dtype))
        return self.tolerance

    def check(self, x0: State) -> None:
        """InputError for a tolerance below the rounding of the state, for there u is solved, or for
        limits of another batch size.
        """
        batch, dtype = batch_size(x0), precision(x0)
        try:
            per_sample_tolerance(self.tolerance_in(dtype), batch, RelativeResidual(), dtype)
            per_sample_budget(self.max_evaluations, batch)
        except InputError as error:
            raise InputError(
                f"gradient: {type(self).__name__}(tolerance=..., max_evaluations=...), the rule of"
                f" the backward pass, has a {error}"
            ) from None

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f(x*), whose backward solves the adjoint fixed point before it reaches the parameters of
        f.
        """
        return attach(f, solution.value, self._adjoint)

    def _adjoint(self, transpose: Transpose, g: Tensor) -> Tensor:
        tolerance = self.tolerance_in(precision(g))
        backward = adjoint_fixed_point(transpose, g, self.solver, tolerance, self.max_evaluations)
        if not self._told and (message := _shortfall(backward, tolerance)):
            self._told.append(message)
            warnings.warn(message, DeqlabWarning, stacklevel=2)
        if self.observe is not None:
            self.observe(backward)
        return backward.value


def _entries(value: float | Tensor) -> int:
    return len(value) if isinstance(value, Tensor) and value.ndim else 1


def _shortfall(backward: Solution, tolerance: float | Tensor) -> str | None:
    """By how much the samples missed the tolerance, or None where none did."""
    tolerances = (
        torch.as_tensor(tolerance, dtype=torch.float64).expand(len(backward.reason)).tolist()
    )
    # Tolerance 0 asks for the whole budget, so a budget that is spent is no failure.
    short = [
        i
        for i, why in enumerate(backward.reason)
        if why != "converged" and not (why == "budget" and tolerances[i] == 0)
    ]
    if not short:
        return None
    worst = max(short, key=lambda i: float(backward.residual[i]))
    residual, products = float(backward.residual[worst]), int(backward.evaluations[worst])
    return (
        f"backward solve: {len(short)} of {len(backward.reason)} samples missed the tolerance"
        f" {tolerances[worst]:g}; the worst stands at {residual:.2g} after {products}"
        f" vector-Jacobian products ({backward.reason[worst]}). The gradient is as inexact. Said"
        " once for this rule."
    )
