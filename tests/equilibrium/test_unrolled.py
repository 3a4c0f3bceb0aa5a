"""Unrolling with and without checkpoints: the same gradient, another memory."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import EquilibriumLayer, Unrolled, unrolled


def by_hand(problem, x, k: int):
    for _ in range(k):
        x = problem.map(x)
    return x


@pytest.mark.parametrize("checkpoint", [None, "sqrt", 1, 3, 100], ids=str)
@pytest.mark.parametrize("k", [1, 7])
def test_the_gradient_is_that_of_the_loop(problem, as_rows, as_state, k: int, checkpoint) -> None:
    """Bitwise, in the start too: checkpoints repeat the same operations in the same order."""
    start = as_rows(problem.start()).requires_grad_()
    found = []
    for x in (
        unrolled(problem.map, as_state(start, problem.g), k, checkpoint),
        by_hand(problem, as_state(start, problem.g), k),
    ):
        loss = problem.loss(x)
        found.append((loss, problem.gradients(loss), torch.autograd.grad(loss, start)[0]))
    for one, other in zip(*found):
        assert torch.equal(one, other)


def test_the_rule_starts_at_the_solution_as_a_constant(problem, as_rows) -> None:
    """Loosely solved, so that it matters where the last evaluations begin."""
    layer = EquilibriumLayer(problem.f, gradient=Unrolled(3, 2), tolerance=1e-2)
    x = layer(problem.start(), problem.y)
    seen = []
    EquilibriumLayer(problem.f, gradient=Recorder(seen), tolerance=1e-2)(problem.start(), problem.y)
    expected = by_hand(problem, seen[0].value, 3)
    assert torch.equal(as_rows(x), as_rows(expected))
    assert torch.equal(
        problem.gradients(problem.loss(x)), problem.gradients(problem.loss(expected))
    )


class Recorder:
    """A rule of the user's own: any object with `attach`."""

    def __init__(self, seen: list):
        self.seen = seen

    def attach(self, f, solution):
        self.seen.append(solution)
        return f(solution.value)


def test_it_can_be_differentiated_twice(problem) -> None:
    second = []
    for x in (unrolled(problem.map, problem.start(), 4, 2), by_hand(problem, problem.start(), 4)):
        first = torch.autograd.grad(problem.loss(x).square(), problem.y, create_graph=True)[0]
        second.append(problem.gradients(first.abs().square().sum()))
    assert_close(second[0], second[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("checkpoint", [0, -2, 1.5, "root", True], ids=str)
def test_other_checkpoints_are_refused(checkpoint) -> None:
    with pytest.raises(InputError, match="checkpoint: .* None, 'sqrt' or a number"):
        Unrolled(4, checkpoint)
    with pytest.raises(InputError, match="k: 0 given"):
        Unrolled(0)
