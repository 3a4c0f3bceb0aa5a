"""Adjoint Broyden against the dense recursion, exact from the left, and clear about what it needs
of f.
"""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import AdjointBroyden, Backtracking, Broyden, solve
from deqlab.solvers.flat import flatten, unflatten


def jacobian(f, x: Tensor) -> Tensor:
    """df/dx of one sample, real (n, n)."""
    return torch.autograd.functional.jacobian(
        lambda v: flatten(f(unflatten(v[None], x)))[0], flatten(x)[0]
    )


def dense_adjoint_broyden(f, x: Tensor, count: int) -> tuple[list[Tensor], Tensor]:
    """Iterates and model of one sample: x <- x + model^-1 g, then model <- model + v v^T (I - J -
    model) / v^T v for v = g and J at the new x.
    """
    flat, eye = flatten(x)[0], torch.eye(flatten(x).shape[1], dtype=torch.float64)
    model, seen = eye, [flat]
    for _ in range(count - 1):
        now = unflatten(seen[-1][None], x)
        new = seen[-1] + torch.linalg.solve(model, flatten(f(now))[0] - seen[-1])
        seen.append(new)
        state = unflatten(new[None], x)
        v = flatten(f(state))[0] - new
        model = model + torch.outer(v, v @ (eye - jacobian(f, state) - model)) / (v @ v)
    return seen, model


def tanh_of(f):
    """A nonlinear, complex but not complex-differentiable map on top of a linear one."""
    return lambda x: torch.complex(torch.tanh(f(x).real), f(x).imag / 2)


@pytest.mark.parametrize("nonlinear", [False, True])
def test_is_the_dense_recursion(make_map, nonlinear: bool) -> None:
    """Complex numbers as pairs: J is real-linear, and a transpose without its conjugate would
    show.
    """
    f = make_map(2, n=4, rates=[0.9, 0.5])
    seen: list[Tensor] = []
    whole = tanh_of(f) if nonlinear else f
    start, v = torch.randn_like(f.b), torch.randn(2, 8, dtype=torch.float64)
    solution = solve(
        whole,
        start,
        AdjointBroyden(),
        0.0,
        7,
        callback=lambda k, x, running: seen.append(x.clone()),
    )
    for member in range(2):
        alone = f.members([member])
        expected, model = dense_adjoint_broyden(
            tanh_of(alone) if nonlinear else alone, start[[member]], 7
        )
        for mine, theirs in zip(seen, expected):
            assert_close(flatten(mine)[member], theirs, rtol=1e-7, atol=1e-7)
        assert_close(
            solution.inverse.apply(v)[member],
            torch.linalg.solve(model, v[member]),
            rtol=1e-6,
            atol=1e-6,
        )
        assert_close(
            solution.inverse.transpose(v)[member],
            torch.linalg.solve(model.mT, v[member]),
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize(
    "solver",
    [AdjointBroyden(), AdjointBroyden(4), AdjointBroyden(line_search=Backtracking())],
    ids=repr,
)
def test_the_inverse_is_exact_from_the_left_at_the_last_evaluation(make_map, solver) -> None:
    """B^T (I - J)^T g = g for the residual g of each sample's last evaluation, also of those that
    left long before the others.
    """
    f = make_map(4, n=8, rates=[0.9, 0.1, 0.5, 0.01])
    last = torch.zeros(4, 8, dtype=torch.complex128)
    solution = solve(
        tanh_of(f),
        last,
        solver,
        1e-6,
        60,
        callback=lambda k, x, running: last.__setitem__(running, x),
    )
    assert solution.converged.all() and len(set(solution.evaluations.tolist())) >= 3
    g = flatten(tanh_of(f)(last) - last)
    z = torch.zeros_like(g)
    for member in range(4):
        J = jacobian(tanh_of(f.members([member])), last[[member]])
        z[member] = g[member] - J.mT @ g[member]
    assert_close(solution.inverse.transpose(z) / g.norm(), g / g.norm(), rtol=1e-6, atol=1e-9)


def test_needs_no_more_evaluations_than_broyden_and_counts_its_products(make_map) -> None:
    f = make_map(3, n=20, rates=[0.5, 0.9, 0.97])
    adjoint, plain = (
        solve(f, torch.zeros_like(f.b), solver, 1e-6, 200)
        for solver in (AdjointBroyden(60), Broyden(60))
    )
    assert adjoint.products.tolist() == (adjoint.evaluations - 1).tolist()
    assert plain.products.tolist() == [0, 0, 0]
    assert bool((adjoint.evaluations <= plain.evaluations).all())
    assert_close(adjoint.value, f.fixed_point(), rtol=1e-4, atol=1e-4)


def test_the_inverse_does_not_depend_on_the_batch(make_map) -> None:
    f = make_map(4, n=8, rates=[0.9, 0.1, 0.5, 0.01], selectable=True)
    v = torch.randn(4, 16, dtype=torch.float64)
    together = solve(f, torch.zeros_like(f.b), AdjointBroyden(), 1e-8, 60)
    for member in range(4):
        alone = solve(
            f.members([member]), torch.zeros(1, 8, dtype=f.b.dtype), AdjointBroyden(), 1e-8, 60
        )
        assert alone.products.tolist() == [int(together.products[member])]
        mine = together.inverse.select(torch.tensor([member]))
        assert_close(
            mine.apply(v[[member]]), alone.inverse.apply(v[[member]]), rtol=1e-6, atol=1e-6
        )


def test_a_tuple_with_a_part_that_nobody_reads(make_map) -> None:
    """Its column of J is zero; a part that is constant has a row of zeros."""
    f = make_map(2, n=4, rates=0.8)
    constant = torch.ones(2, 3, dtype=torch.float64)
    solution = solve(
        lambda state: (f(state[0]), constant),
        (torch.zeros_like(f.b), torch.zeros_like(constant)),
        AdjointBroyden(),
        1e-9,
    )
    assert_close(solution.value, (f.fixed_point(), constant), rtol=1e-6, atol=1e-6)


def test_one_graph_at_a_time_and_none_in_the_end() -> None:
    layer = nn.Linear(4, 4, dtype=torch.float64)
    nn.init.uniform_(layer.weight, -0.2, 0.2)
    saved: list[weakref.ref] = []
    counts: list[int] = []

    class Saved:
        def __init__(self, tensor: Tensor):
            self.tensor = tensor.detach()
            saved.append(weakref.ref(self))

    def alive() -> int:
        return sum(ref() is not None for ref in saved)

    def f(x: Tensor) -> Tensor:
        counts.append(alive())
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda packed: packed.tensor):
            return torch.tanh(layer(x)) + 1

    solution = solve(f, torch.ones(2, 4, dtype=torch.float64), AdjointBroyden(), 1e-10)
    assert (
        solution.converged.all() and counts == [0] * len(counts) and len(saved) >= len(counts) > 3
    )
    assert alive() == 0
    assert (
        not solution.value.requires_grad
        and not solution.inverse.left.requires_grad
        and layer.weight.grad is None
    )


parameter = torch.ones(3, requires_grad=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 0.5 * x.detach() + 1,
        lambda x: torch.from_numpy(0.5 * x.detach().numpy() + 1),
        lambda x: 0.5 * x.detach() + parameter,
        torch.no_grad()(lambda x: 0.5 * x + 1),
    ],
    ids=["detach", "numpy", "graph of parameters only", "no_grad"],
)
def test_a_map_without_a_graph_of_its_argument_is_refused(f) -> None:
    with pytest.raises(InputError, match="carries no graph of its argument"):
        solve(f, torch.zeros(2, 3), AdjointBroyden())
    assert solve(f, torch.zeros(2, 3), Broyden()).converged.all()
