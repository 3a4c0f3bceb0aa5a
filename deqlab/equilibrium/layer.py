"""An equilibrium as a differentiable function and as a layer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic

import torch
from torch import Tensor, nn

from deqlab.equilibrium.graph import detached
from deqlab.equilibrium.implicit import ImplicitGradient
from deqlab.equilibrium.protocol import DemandingRule, GradientRule
from deqlab.equilibrium.resting_statistics import resting_statistics
from deqlab.solvers import Anderson, RelativeResidual, Solution, solve
from deqlab.solvers.coupled_samples import Recheck, computed_in, corrected, may_have_moved
from deqlab.solvers.criterion import per_sample_tolerance
from deqlab.solvers.flat import State, StateT, batch_size, flatten, formed_like, parts
from deqlab.solvers.protocol import AnyMap, AnySolver, Criterion, SelectableMap, StateMap

HALF = {torch.float16, torch.bfloat16, torch.complex32}


def equilibrium(
    f: StateMap[StateT],
    x0: StateT | Solution[StateT],
    solver: AnySolver = Anderson(),
    gradient: GradientRule = ImplicitGradient(),
    tolerance: float | Tensor = 1e-3,
    max_evaluations: int | Tensor = 50,
    callback: Callable[[int, StateT, Tensor], None] | None = None,
    criterion: Criterion = RelativeResidual(),
) -> Solution[StateT]:
    """The solution of x = f(x) with a differentiable `value`, in memory that does not grow with the
    evaluations.

    The solve records no graph; f is then evaluated once more, with grad, and `gradient` attaches
    its rule there. So `value` is f at the solved iterate, one evaluation past the one whose
    residual the Solution reports; its `state` is None. That evaluation is of the whole batch, and
    proves the residuals: a sample that had converged and, beside the others as they are now, has
    not, is "coupled", as `deqlab.solvers.solve` says.
    f, x0, solver, tolerance, max_evaluations, callback, criterion: as in `deqlab.solvers.solve`;
        the state may be a tuple.
    gradient: ImplicitGradient, JacobianFree, NeumannSeries, Phantom, SHINE, Unrolled, Invertible,
        or any other `deqlab.equilibrium.protocol.GradientRule`. All but Unrolled and Invertible
        refuse to be differentiated twice (create_graph=True is an InputError).
    Under torch.autocast the output of f is brought back to the dtype of the state, so that a
    network in bfloat16 is solved for in float32; the residual then stops falling at the rounding of
    bfloat16, between 1e-2 and 1e-3.
    """
    start = x0.value if isinstance(x0, Solution) else x0
    if torch.is_autocast_enabled(parts(start)[0].device.type):
        f = _in_state_precision(f)
    if isinstance(gradient, DemandingRule) and torch.is_grad_enabled():
        gradient.check(start)
    with resting_statistics(f):
        solution = solve(
            f, x0, solver, tolerance, max_evaluations, callback, criterion, proof=False
        )
    if may_have_moved(solution):
        watched = _Watched[StateT](f, solution.value)
        value = gradient.attach(watched, solution)
        if watched.image is not None:
            flat = flatten(solution.value)
            tolerances = per_sample_tolerance(
                tolerance, batch_size(solution.value), criterion, flat.dtype
            )
            recheck = Recheck(criterion, tolerances, computed_in(flat))
            solution = corrected(solution, watched.image, recheck)
    else:
        value = gradient.attach(f, solution)
    # The solver's history, ten images and more, would live until the backward pass for nothing.
    return replace(solution, value=value, state=None)


class _Watched(Generic[StateT]):
    """f, and its image of `value` when it has been asked for; None until then."""

    def __init__(self, f: StateMap[StateT], value: StateT):
        self.f, self.value = f, value
        self.image: StateT | None = None

    def __call__(self, x: StateT) -> StateT:
        image = self.f(x)
        same = all(a.data_ptr() == b.data_ptr() for a, b in zip(parts(x), parts(self.value)))
        if same and self.image is None:
            self.image = detached(image)
        return image


@dataclass(frozen=True)
class _Bound:
    """x -> f(x, *inputs)."""

    f: nn.Module
    inputs: tuple[Any, ...]

    def __call__(self, x: State) -> State:
        image: State = self.f(x, *self.inputs)
        return image


@dataclass(frozen=True)
class _StatePrecision:
    """f with a half-precision output brought to the dtype of its argument; any other dtype is left
    for the solve to refuse.
    """

    f: AnyMap

    def __call__(self, x: State) -> State:
        image = self.f(x)
        pairs = zip(parts(image), parts(x))
        return formed_like(
            tuple(new.to(old.dtype) if new.dtype in HALF else new for new, old in pairs), image
        )


@dataclass(frozen=True)
class _SelectableStatePrecision(_StatePrecision):
    """The same of a map that can be restricted to some samples; any other must not seem to be."""

    f: SelectableMap[Any]

    def select(self, index: Tensor) -> AnyMap:
        """The map of the batch members in `index`."""
        return _in_state_precision(self.f.select(index))


def _in_state_precision(f: AnyMap) -> AnyMap:
    return _SelectableStatePrecision(f) if isinstance(f, SelectableMap) else _StatePrecision(f)


class EquilibriumLayer(nn.Module):
    """x* = f(x*, inputs), as a layer: `layer(x0, *inputs)` returns x* and leaves the Solution in
    `layer.solution`.

    f: a module (x, *inputs) -> x. solver, gradient, criterion: as in `equilibrium`.
    tolerance, max_evaluations: numbers, or tensors (batch,) with one for each sample. All of them
    may be changed between calls, and these two also for one call alone: `layer(x0, *inputs,
    max_evaluations=5)`. May be called any number of times before `backward`; each call keeps its
    own graph. How `inputs` divide among the samples is not known here, so those that are done stay
    in the batch and are evaluated with the others; `equilibrium` with a `SelectableMap` lets them
    leave.
    """

    def __init__(
        self,
        f: nn.Module,
        solver: AnySolver = Anderson(),
        gradient: GradientRule = ImplicitGradient(),
        tolerance: float | Tensor = 1e-3,
        max_evaluations: int | Tensor = 50,
        criterion: Criterion = RelativeResidual(),
    ):
        super().__init__()
        self.f, self.solver, self.gradient, self.criterion = f, solver, gradient, criterion
        self.tolerance, self.max_evaluations = tolerance, max_evaluations
        self.solution: Solution | None = None

    def forward(
        self,
        x0: State | Solution,
        *inputs: Any,
        tolerance: float | Tensor | None = None,
        max_evaluations: int | Tensor | None = None,
    ) -> State:
        """The equilibrium reached from `x0`, (batch, ...) or a tuple of such; the layer's own
        tolerance and budget where None.
        """
        solution = equilibrium(
            _Bound(self.f, inputs),
            x0,
            self.solver,
            self.gradient,
            self.tolerance if tolerance is None else tolerance,
            self.max_evaluations if max_evaluations is None else max_evaluations,
            criterion=self.criterion,
        )
        self.solution = replace(solution, value=detached(solution.value))
        return solution.value
