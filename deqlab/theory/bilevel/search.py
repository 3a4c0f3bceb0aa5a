"""Search without a gradient, and the optimum that all methods are measured by."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.theory.bilevel.descent import Clock, Recorder, Trace
from deqlab.theory.bilevel.problem import DescentMap, Problem


class Search:
    """A list of hyperparameters to try, each solved to `tolerance` (see `DescentMap.solve`); the
    best so far is the answer.
    """

    name: str
    tolerance: float

    def candidates(self, problem: Problem, seed: int) -> Tensor:
        """The thetas in their order, (trials, k)."""
        raise NotImplementedError


@dataclass(frozen=True)
class GridSearch(Search):
    """Equally spaced weights from the largest to the smallest, so that each solve starts near its
    solution; all hyperparameters alike where k > 1.
    """

    trials: int = 15
    tolerance: float = 1e-4
    name: str = "grid search"

    def candidates(self, problem: Problem, seed: int) -> Tensor:
        """(trials, k)."""
        return torch.linspace(problem.high, problem.low, self.trials, dtype=torch.float64)[
            :, None
        ].expand(-1, len(problem.theta0))


@dataclass(frozen=True)
class RandomSearch(Search):
    """Weights drawn uniformly in theta from the problem's interval, by the seed."""

    trials: int = 15
    tolerance: float = 1e-4
    name: str = "random search"

    def candidates(self, problem: Problem, seed: int) -> Tensor:
        """(trials, k)."""
        draws = np.random.default_rng([seed, 1]).uniform(
            problem.low, problem.high, (self.trials, len(problem.theta0))
        )
        return torch.from_numpy(draws)


def search(
    problem: Problem, method: Search, seed: int = 0, clock: Clock = time.perf_counter
) -> Trace:
    """The trace of a search, an entry for each trial; each solve starts at the solution before."""
    recorder = Recorder(problem, clock)
    x, best = problem.start(), None
    for theta in method.candidates(problem, seed):
        f = DescentMap(problem, theta)
        solution = f.solve(x, method.tolerance)
        x = solution.value
        loss = problem.validation(x)[0]
        best = (theta, solution, loss) if best is None or loss < best[2] else best
        recorder.note(*best, f.evaluations, 0)
    return recorder.trace


def optimum(problem: Problem, tolerance: float = 1e-6, trials: int = 12) -> tuple[float, float]:
    """(theta, loss) at the smallest outer loss over the problem's interval, with inner problems
    solved to `tolerance`: what a method can reach.

    A grid, solved to 1e-3, finds the basin, and Brent's method its bottom to 0.01 in theta. Raises
    InputError for more than one hyperparameter.
    """
    if len(problem.theta0) != 1:
        raise InputError(
            f"theta: {len(problem.theta0)} hyperparameters; a search along one line needs"
            " exactly one"
        )
    state = problem.start()

    def loss(theta: float, tolerance: float) -> float:
        nonlocal state
        f = DescentMap(problem, torch.tensor([theta], dtype=torch.float64))
        state = f.solve(state, tolerance).value
        return problem.validation(state)[0]

    grid = np.linspace(problem.high, problem.low, trials)
    lowest = int(np.argmin([loss(theta, 1e-3) for theta in grid]))
    bracket = (grid[min(lowest + 1, trials - 1)], grid[max(lowest - 1, 0)])
    found = minimize_scalar(
        loss, bounds=bracket, args=(tolerance,), method="bounded", options={"xatol": 0.01}
    )
    return float(found.x), float(found.fun)
