"""The outer loop: move the hyperparameters down the hypergradient, and search without one, each
leaving the same kind of trace.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers import Solution
from deqlab.theory.bilevel.hypergradient import Method, backward, forward
from deqlab.theory.bilevel.problem import Problem

Clock = Callable[[], float]


@dataclass(frozen=True)
class Outer:
    """What all methods of a comparison share.

    steps: outer iterations after the first, at most. tolerance, decrease: the inner problem of
    iteration k is solved to tolerance * decrease^k (HOAG's exponential schedule; see
    `DescentMap.solve`), the adjoint of a full inversion too. memory: pairs that L-BFGS keeps.
    move: length of the first step in theta. growth: by how much the step may grow from one
        iteration to the next, where theta took it well.
    """

    steps: int = 20
    tolerance: float = 1e-2
    decrease: float = 0.7
    memory: int = 30
    move: float = 1.0
    growth: float = 1.5
    least: float = 0.01

    def __post_init__(self) -> None:
        for name, ok, right in (
            ("steps", self.steps >= 1, "at least 1"),
            ("tolerance", 0 < self.tolerance < 1, "a number between 0 and 1"),
            ("decrease", 0 < self.decrease <= 1, "a number in (0, 1]"),
            ("memory", self.memory >= 1, "at least 1"),
            ("move", self.move > 0, "a number > 0"),
            ("growth", self.growth >= 1, "a number >= 1"),
            ("least", self.least >= 0, "a number >= 0"),
        ):
            if not ok:
                raise InputError(f"{name}: {getattr(self, name)} given, {right} needed")

    def at(self, iteration: int) -> float:
        """The tolerance of an iteration."""
        return max(self.tolerance * self.decrease**iteration, 1e-12)


@dataclass
class Trace:
    """One run, an entry for every outer iteration: what had been spent by then, and the
    hyperparameters it would hand out.

    seconds: without what the tracing itself takes. evaluations, products: of the inner gradient and
        of the Hessian, running totals.
    theta: (k,) each. validation, test: losses of the model at hand, whose inner problem is solved
        as far as the run solved it.
    solved: whether that inner solve met its tolerance.
    """

    seconds: list[float] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    theta: list[list[float]] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    solved: list[bool] = field(default_factory=list)

    @property
    def work(self) -> list[int]:
        """Evaluations and products together: each is one pass over the data there and back."""
        return [a + b for a, b in zip(self.evaluations, self.products, strict=True)]


class Recorder:
    """Writes a trace; its clock stands still while it writes."""

    def __init__(self, problem: Problem, clock: Clock):
        self.problem, self.clock, self.trace = problem, clock, Trace()
        self.spent, self.resumed = 0.0, clock()

    def note(
        self, theta: Tensor, solution: Solution, loss: float, evaluations: int, products: int
    ) -> None:
        """An entry: the model at theta with its validation loss, and the work since the last
        entry.
        """
        self.spent += self.clock() - self.resumed
        trace = self.trace
        trace.seconds.append(self.spent)
        trace.evaluations.append(evaluations + (trace.evaluations[-1] if trace.evaluations else 0))
        trace.products.append(products + (trace.products[-1] if trace.products else 0))
        trace.theta.append(theta.tolist())
        trace.validation.append(loss)
        trace.test.append(self.problem.test(theta, solution.value))
        trace.solved.append(bool(solution.converged.all()))
        self.resumed = self.clock()


def descend(
    problem: Problem, method: Method, outer: Outer = Outer(), clock: Clock = time.perf_counter
) -> Trace:
    """Gradient descent on the outer loss with the hypergradients of `method`, from the problem's
    theta0.

    The step is 1 / L, and never longer than `outer.move`. L starts as the length of the first
    hypergradient over `outer.move`; a step that lowers the loss by at least half of what the
    hypergradient promises makes L smaller by `outer.growth`; one that raises it, by more than the
    tolerance of the inner solves, is taken back and doubles L. Every inner solve starts at the
    solution before. After the adaptive step of HOAG (Pedregosa, ICML 2016, sec. 4), with a firmer
    rejection.
    """
    recorder = Recorder(problem, clock)
    tolerance = outer.at(0)
    here = forward(
        problem, problem.theta0.clone(), method, tolerance, problem.start(), outer.memory
    )
    recorder.note(here.f.theta, here.solution, here.loss, here.f.evaluations, 0)
    q, smoothness = None, 0.0
    for iteration in range(1, outer.steps + 1):
        gradient, adjoint = backward(method, here, tolerance, q)
        q, length = adjoint.q, float(gradient.norm())
        if not 0 < length < math.inf:
            break
        smoothness = smoothness or length / outer.move
        step = min(1 / smoothness, outer.move / length)
        theta = (here.f.theta - step * gradient).clamp(problem.low, problem.high)
        if float((theta - here.f.theta).norm()) < outer.least:
            break
        hoped = float(gradient @ (here.f.theta - theta))
        tolerance = outer.at(iteration)
        slack = tolerance * abs(here.loss)
        there = forward(problem, theta, method, tolerance, here.solution.value, outer.memory)
        evaluations, before = there.f.evaluations, here
        if there.loss > here.loss + slack:
            # A loose inner solve may have been lucky: a rise counts against the old point solved as
            # exactly as the new one. From the new one's solution, since a solver that starts where
            # it will end learns nothing of the Hessian.
            before = forward(
                problem, here.f.theta, method, tolerance, there.solution.value, outer.memory
            )
            evaluations += before.f.evaluations
        if there.loss > before.loss + slack:
            smoothness, here = 2 / step, before
        else:
            smoothness = (
                smoothness / outer.growth if there.loss <= before.loss - hoped / 2 else smoothness
            )
            here = there
        recorder.note(here.f.theta, here.solution, here.loss, evaluations, adjoint.products)
    return recorder.trace
