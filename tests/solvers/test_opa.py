"""OPA: the inverse becomes right where it is asked to, and every evaluation and product that this
takes is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import LBFGS, OPA, AdjointBroyden, Backtracking, Broyden, solve
from deqlab.solvers.flat import flatten, unflatten


@dataclass
class Fixed:
    """The same direction wherever x is, (batch, n); `seen` counts the samples of each call."""

    d: Tensor

    def __post_init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return self.d


class Selectable(Fixed):
    def select(self, index: Tensor) -> Selectable:
        part = Selectable(self.d[index])
        part.seen = self.seen
        return part


def applied(M: Tensor, v: Tensor, transposed: bool) -> Tensor:
    """(I - M)^-1 v, or with the adjoint, per sample; complex vectors as flat real ones."""
    matrix = torch.eye(M.shape[-1], dtype=M.dtype) - M
    return flatten(torch.linalg.solve(matrix.mH if transposed else matrix, v[..., None])[..., 0])


def error(found: Tensor, truth: Tensor) -> Tensor:
    return (found - truth).norm(dim=1) / truth.norm(dim=1)


@pytest.mark.parametrize("kind", [Broyden, AdjointBroyden, LBFGS])
def test_the_inverse_is_much_better_along_the_direction(make_map, make_gradient_step, kind) -> None:
    """In 120 real dimensions, after some 30 evaluations, against the dense inverse."""
    f = make_gradient_step(3, n=60) if kind is LBFGS else make_map(3, n=60, rates=0.9)
    d = torch.randn_like(f.b)
    errors = []
    for opa in (None, OPA(Fixed(d), every=3)):
        B = solve(f, torch.zeros_like(f.b), kind(60, opa=opa), 1e-6, 100).inverse
        side = kind is AdjointBroyden
        errors.append(error((B.transpose if side else B.apply)(flatten(d)), applied(f.M, d, side)))
    assert bool((errors[1] < 0.25).all()) and bool((errors[1] < 0.5 * errors[0]).all())
    assert float(errors[1].mean() / errors[0].mean()) < 0.35


@pytest.mark.parametrize("kind", [Broyden, LBFGS])
def test_a_probe_goes_along_b_d_and_teaches_its_pair(make_gradient_step, kind) -> None:
    """The third evaluation is at x + e with e along B d, and B (I - J) e = e after it."""
    f = make_gradient_step(2, n=5)
    d, seen = torch.randn_like(f.b), []
    start = torch.randn_like(f.b)
    before = solve(f, start, kind(), 0.0, 2)
    after = solve(
        f,
        start,
        kind(opa=OPA(Fixed(d), every=1)),
        0.0,
        3,
        callback=lambda k, x, running: seen.append(flatten(x)),
    )
    e = seen[2] - seen[1]
    along = before.inverse.apply(flatten(d))
    assert_close(e / e.norm(dim=1, keepdim=True), along / along.norm(dim=1, keepdim=True))
    step = before.inverse.apply(flatten(f(unflatten(seen[1], start))) - seen[1])
    assert_close(e.norm(dim=1), step.norm(dim=1))
    y = e - flatten(torch.einsum("bij,bj->bi", f.M, unflatten(e, start)))
    assert_close(after.inverse.apply(y), e)


def test_a_probe_is_not_shorter_than_what_rounding_hides(make_gradient_step) -> None:
    """Started at the fixed point but for 1e-11, where a pair of the solver's own length would have
    four digits.
    """
    f = make_gradient_step(2, n=5)
    start, seen = f.fixed_point() + 1e-11, []
    solve(
        f,
        start,
        Broyden(opa=OPA(Fixed(f.b), every=1)),
        0.0,
        3,
        callback=lambda k, x, running: seen.append(flatten(x)),
    )
    assert_close((seen[2] - seen[1]).norm(dim=1), 2.0**-26 * seen[1].norm(dim=1), rtol=1e-5, atol=0)


def test_an_adjoint_update_is_exact_from_the_left_along_b_d(make_map) -> None:
    """B^T (I - J)^T v = v for v = B^T d with the B before the update; the last one is made where
    each sample ends.
    """
    f = make_map(2, n=5)
    d, start = torch.randn_like(f.b), torch.randn_like(f.b)
    plain = solve(f, start, AdjointBroyden(), 0.0, 4)
    aware = solve(f, start, AdjointBroyden(opa=OPA(Fixed(d), every=100)), 0.0, 4)
    v = plain.inverse.transpose(flatten(d))
    image = v - flatten(torch.einsum("bji,bj->bi", f.M.conj(), unflatten(v, start)))
    assert_close(aware.inverse.transpose(image), v)
    assert aware.products.tolist() == [4, 4] and plain.products.tolist() == [3, 3]


def test_the_step_after_an_adjoint_update_uses_it(make_map) -> None:
    f, seen = make_map(2, n=5), []
    solver = AdjointBroyden(opa=OPA(Fixed(torch.randn_like(f.b)), every=1))
    start = torch.randn_like(f.b)
    solve(f, start, solver, 0.0, 3, callback=lambda k, x, running: seen.append(x.clone()))
    B = solve(f, start, solver, 0.0, 2).inverse
    assert_close(flatten(seen[2] - seen[1]), B.apply(flatten(f(seen[1]) - seen[1])))


@pytest.mark.parametrize("every", [1, 2, 5])
def test_extra_evaluations_and_products_are_counted(make_map, every: int) -> None:
    f = make_map(3, n=20, rates=[0.5, 0.8, 0.95], selectable=True)
    d = torch.randn_like(f.b)
    solution = solve(f, torch.zeros_like(f.b), Broyden(opa=OPA(Selectable(d), every)), 1e-7, 200)
    assert (
        solution.converged.all()
        and [len(trace) for trace in solution.trace] == solution.evaluations.tolist()
    )
    assert f.rows.pop() == 3  # the proof that those who left are still where they were
    assert sum(f.rows) == int(solution.evaluations.sum())
    short = solve(f, torch.zeros_like(f.b), Broyden(opa=OPA(Selectable(d), every)), 0.0, 7)
    assert short.evaluations.tolist() == [7] * 3
    # The first evaluation is no step; each later one but the last asks for OPA or makes an adjoint
    # product.
    adjoint = solve(f, torch.zeros_like(f.b), AdjointBroyden(opa=OPA(Selectable(d), every)), 0.0, 7)
    assert adjoint.products.tolist() == [6 + 5 // every + 1] * 3


@pytest.mark.parametrize("direction", [Fixed, Selectable])
@pytest.mark.parametrize("kind", [Broyden, AdjointBroyden, LBFGS])
def test_a_sample_meets_its_own_direction_and_no_other(make_gradient_step, kind, direction) -> None:
    """Alone and in a batch from which samples leave: same evaluations, same B; what is done is no
    longer asked for.
    """
    f = make_gradient_step(4, n=12, least=[0.9, 0.05, 0.4, 0.1])
    d, v = torch.randn_like(f.b), torch.randn(4, 24, dtype=torch.float64)
    whole = direction(d)
    solver = kind(opa=OPA(whole, every=2), line_search=Backtracking(growth=1.1))
    together = solve(f, torch.zeros_like(f.b), solver, 1e-6, 100)
    assert together.converged.all() and len(set(together.evaluations.tolist())) >= 3
    assert (min(whole.seen) < 4) == (direction is Selectable)
    for member in range(4):
        one = kind(opa=OPA(direction(d[[member]]), every=2), line_search=Backtracking(growth=1.1))
        alone = solve(f.members([member]), torch.zeros(1, 12, dtype=f.b.dtype), one, 1e-6, 100)
        assert alone.evaluations.tolist() == [int(together.evaluations[member])]
        assert alone.products.tolist() == [int(together.products[member])]
        mine = together.inverse.select(torch.tensor([member]))
        assert_close(
            mine.apply(v[[member]]), alone.inverse.apply(v[[member]]), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("as_tuple", [False, True])
def test_a_direction_may_be_a_gradient_of_the_iterate(make_map, as_tuple: bool) -> None:
    """dL/dx by autograd; neither the iterates nor the solution carry its graph."""
    f = make_map(2, n=4, rates=0.8)

    def gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad((x.requires_grad_().abs() ** 4).sum(), x)[0]

    if as_tuple:
        opa = OPA(lambda state: (gradient(state[0]),), every=2)
        solution = solve(
            lambda state: (f(state[0]),), (torch.zeros_like(f.b),), AdjointBroyden(opa=opa), 1e-8
        )
        x = solution.value[0]
    else:
        solution = solve(f, torch.zeros_like(f.b), AdjointBroyden(opa=OPA(gradient, every=2)), 1e-8)
        x = solution.value
    assert (
        solution.converged.all() and not x.requires_grad and not solution.inverse.left.requires_grad
    )
    d = 4 * x.abs() ** 2 * x
    assert float(error(solution.inverse.transpose(flatten(d)), applied(f.M, d, True)).max()) < 0.05


@pytest.mark.parametrize("kind", [Broyden, AdjointBroyden, LBFGS])
def test_no_direction_no_harm(make_gradient_step, kind) -> None:
    f = make_gradient_step(2)
    solution = solve(f, torch.zeros_like(f.b), kind(opa=OPA(torch.zeros_like, every=1)), 1e-6, 200)
    assert solution.converged.all() and bool(
        torch.isfinite(solution.inverse.apply(flatten(f.b))).all()
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: OPA(torch.ones(2)), "direction: Tensor"),
        (lambda: OPA(lambda x: x, every=0), "every: 0"),
        (
            lambda: solve(
                lambda x: x / 2 + 1, torch.ones(2, 3), Broyden(opa=OPA(lambda x: x[:, :1], 1))
            ),
            "direction changes the shape",
        ),
    ],
)
def test_an_impossible_choice_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()
