"""A map that returns memory of its own again is refused before it can make a residual of 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.equilibrium import equilibrium
from deqlab.solvers import LBFGS, AdjointBroyden, Anderson, Broyden, Picard, solve

SOLVERS = [Picard(), Picard(damping=0.5), Anderson(), Broyden(), LBFGS(), AdjointBroyden()]
FIXED = 2.0  # of x / 2 + 1


def static():
    """out= arguments: the version of the buffer tells."""
    buffer = torch.zeros(2, 3)

    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.mul(x, 0.5, out=buffer).add_(1)

    return f


def silent():
    """As a replayed CUDA graph: written behind torch's back, so that no version tells."""
    array = np.zeros((2, 3), np.float32)
    buffer = torch.from_numpy(array)

    def f(x: Tensor) -> Tensor:
        np.copyto(array, x.numpy() * 0.5 + 1)
        return buffer

    return f


def rewrapped():
    """The same memory in a new tensor each time."""
    array = np.zeros((2, 3), np.float32)

    def f(x: Tensor) -> Tensor:
        np.copyto(array, x.numpy() * 0.5 + 1)
        return torch.from_numpy(array)

    return f


def warmed_up(calls: int = 4):
    """New tensors at first, a buffer from then on, as compiled functions do."""
    inner, seen = silent(), []

    def f(x: Tensor) -> Tensor:
        seen.append(1)
        return x * 0.5 + 1 if len(seen) <= calls else inner(x)

    return f


def in_turn():
    """Two buffers: the iterate survives, the best one does not."""
    buffers, seen = [torch.zeros(2, 3), torch.zeros(2, 3)], []

    def f(x: Tensor) -> Tensor:
        seen.append(1)
        with torch.no_grad():
            return torch.mul(x, 0.5, out=buffers[len(seen) % 2]).add_(1)

    return f


def late_in_place(calls: int = 3):
    """Changes its argument, but not at first."""
    seen = []

    def f(x: Tensor) -> Tensor:
        seen.append(1)
        return x * 0.5 + 1 if len(seen) <= calls else x.mul_(0.5).add_(1)

    return f


@pytest.mark.parametrize("solver", SOLVERS[:-1], ids=repr)
@pytest.mark.parametrize("make", [static, silent, rewrapped, warmed_up, in_turn, late_in_place])
def test_right_or_refused(make, solver) -> None:
    try:
        solution = solve(make(), torch.zeros(2, 3), solver, 1e-5, 100)
    except InputError as error:
        assert "f returns memory that it has returned before" in str(error)
    else:
        assert solution.converged.all()
        torch.testing.assert_close(solution.value, torch.full((2, 3), FIXED), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [static, silent, rewrapped, warmed_up, late_in_place])
def test_plain_iteration_refuses(make) -> None:
    with pytest.raises(InputError, match="returns memory that it has returned before"):
        solve(make(), torch.zeros(2, 3), Picard(), 1e-5, 100)
    with pytest.raises(InputError, match="must return a new tensor"):
        equilibrium(make(), torch.zeros(2, 3), Picard(), tolerance=1e-5)


def test_a_worse_iterate_does_not_spoil_the_best_one() -> None:
    """Two buffers in turn, and a residual that rises at last: what was best is not overwritten."""
    buffers, plan, seen = [torch.zeros(1, 2), torch.zeros(1, 2)], [0.5, 0.1, 0.4, 0.4, 0.4], []

    def f(x: Tensor) -> Tensor:
        seen.append(x.clone())
        with torch.no_grad():
            return torch.div(x, 1 - 0.9 * plan[len(seen) - 1], out=buffers[len(seen) % 2])

    with pytest.raises(InputError, match="returns memory"):
        solve(f, torch.ones(1, 2), Picard(), 1e-6, 5)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_a_map_that_hands_on_or_repeats_is_no_culprit(solver) -> None:
    """Identity in one half, a constant in another: the memory recurs, and never changes."""
    constant = torch.ones(2, 3)
    start = (torch.zeros(2, 3), torch.full((2, 3), 7.0), torch.zeros(2, 3))
    f = lambda state: (0.5 * state[0] + 1, state[1], constant)
    solution = solve(f, start, solver, 1e-5, 60)
    assert solution.converged.all()
    for part, value in zip(solution.value, (2.0, 7.0, 1.0)):
        torch.testing.assert_close(part, torch.full((2, 3), value), rtol=1e-4, atol=1e-4)
    alone = solve(lambda x: constant, torch.zeros(2, 3), Picard(), 1e-5, 20)
    assert alone.converged.all() and torch.equal(alone.value, constant)


def test_in_place_at_first_is_told_as_such() -> None:
    with pytest.raises(InputError, match="f changes its argument in place"):
        solve(lambda x: x.mul_(0.5).add_(1), torch.zeros(2, 3), Picard())
