"""The solve loop: right, per sample, honest about convergence, and clear about why it stopped."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import (
    LBFGS,
    OPA,
    AdjointBroyden,
    Anderson,
    Backtracking,
    Broyden,
    Picard,
    solve,
)

FIXED = [Picard(), Picard(damping=0.7), Anderson(), Anderson(memory=2), Anderson(damping=0.8)]


class Itself:
    """x as the direction of OPA; with a name that is the same in every process."""

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def __repr__(self) -> str:
        return "x"


LEARNED = [
    Broyden(),
    Broyden(memory=4),
    Broyden(line_search=Backtracking()),
    AdjointBroyden(),
    AdjointBroyden(memory=4),
    LBFGS(),
    LBFGS(memory=3),
    Broyden(opa=OPA(Itself(), every=3)),
    AdjointBroyden(opa=OPA(Itself(), every=3)),
    LBFGS(opa=OPA(Itself(), every=3)),
]
SOLVERS = FIXED + LEARNED
by_name = {"ids": repr}


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64, torch.complex64])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_agrees_with_a_dense_solve(make_map, solver, batch: int, dtype: torch.dtype) -> None:
    f = make_map(batch, rates=0.6, dtype=dtype)
    tolerance = 1e-10 if dtype.to_real() == torch.float64 else 1e-5
    solution = solve(f, torch.zeros_like(f.b), solver, tolerance, 200)
    assert (
        solution.converged.tolist() == [True] * batch and solution.reason == ["converged"] * batch
    )
    assert solution.value.dtype == dtype and not solution.value.requires_grad
    # ||x - x*|| <= residual / (1 - rate), here 2.5 times the tolerance relative to x.
    error = (solution.value - f.fixed_point()).norm(dim=1) / f.fixed_point().norm(dim=1)
    assert bool((error < 5 * tolerance).all())


def test_works_on_images(make_map) -> None:
    """Axes after the first are the sample, however many there are, with strides of any order."""
    f = make_map(2, n=12, rates=0.6)

    def on_images(x: Tensor) -> Tensor:
        return f(x.mT.flatten(1)).reshape(2, 4, 3).mT

    solution = solve(on_images, torch.zeros(2, 3, 4, dtype=torch.complex128), Anderson(), 1e-10)
    assert_close(solution.value, f.fixed_point().reshape(2, 4, 3).mT)


def test_conjugated_start(make_map) -> None:
    f = make_map(2)
    start = torch.randn(2, 6, dtype=torch.complex128)
    lazy = solve(f, start.conj(), Anderson(), 1e-8)
    assert_close(
        lazy.value, solve(f, start.conj().resolve_conj(), Anderson(), 1e-8).value, rtol=0, atol=0
    )


def diagonal_map(d: Tensor, b: Tensor):
    """Element by element, so that arithmetic itself does not depend on the batch."""
    return lambda x: torch.tanh(d * x.real) + 0.5j * torch.sin(d * x.imag) + b


@pytest.mark.parametrize("others", [[0], [1], [3, 1], [2, 0, 4], [0, 1, 2, 3, 4], [4, 4, 4]])
@pytest.mark.parametrize(
    "solver, tolerance",
    [
        (Picard(), 0.0),
        (Picard(damping=0.7), 0.0),
        (Anderson(), 1e-6),
        *((solver, 1e-6) for solver in LEARNED),
    ],
    **by_name,
)
def test_a_sample_does_not_depend_on_its_batch_mates(
    solver, tolerance: float, others: list[int]
) -> None:
    """Alone, in other company, and with samples of every speed: same value, evaluations and
    trace.
    """
    d = torch.linspace(0.2, 0.95, 5, dtype=torch.float64)[:, None].expand(5, 7)
    b = torch.randn(5, 7, dtype=torch.complex128) * 0.3
    everyone = solve(diagonal_map(d, b), torch.zeros_like(b), solver, 1e-9, 60)
    assert len(set(everyone.evaluations.tolist())) > 2
    company = solve(
        diagonal_map(d[others], b[others]), torch.zeros_like(b[others]), solver, 1e-9, 60
    )
    assert_close(company.value, everyone.value[others], rtol=tolerance, atol=tolerance)
    assert company.evaluations.tolist() == everyone.evaluations[others].tolist()
    assert company.converged.tolist() == everyone.converged[others].tolist()
    for mine, member in zip(company.trace, others):
        assert mine == pytest.approx(everyone.trace[member], rel=tolerance, abs=tolerance / 1e3)


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_a_diverging_or_broken_mate_harms_nobody(make_map, solver) -> None:
    f = make_map(4, rates=[0.5, 0.5, 8.0, 0.5])
    f.b[1] = math.nan
    together = solve(f, torch.zeros_like(f.b), solver, 1e-8, 60)
    for member in (0, 3):
        alone = f.members([member])
        assert together.reason[member] == "converged"
        assert_close(together.value[member : member + 1], alone.fixed_point(), rtol=1e-6, atol=1e-6)
    assert together.reason[1] == "not finite" and bool(torch.isfinite(together.value).all())
    # Picard diverges; what learns the Jacobian may converge even at a rate of 8, but then truly.
    if together.reason[2] == "converged":
        assert not isinstance(solver, Picard)
        assert_close(together.value[2:3], f.members([2]).fixed_point(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_converged_means_converged(
    make_map, true_residual, solver, dtype: torch.dtype, tolerance: float
) -> None:
    """The reported residual is the value's own, for every sample, converged or not."""
    f = make_map(5, rates=[0.1, 0.5, 0.9, 0.99, 1.5], dtype=dtype)
    solution = solve(f, torch.zeros_like(f.b), solver, tolerance, 20)
    measured = true_residual(f, solution.value).double()
    rounding = 1e-12 if dtype == torch.complex128 else 2e-6
    assert_close(solution.residual, measured, rtol=1e-3, atol=rounding)
    assert bool((measured[solution.converged] <= tolerance + rounding).all())
    assert bool((solution.residual[~solution.converged] > tolerance).all())
    assert solution.converged.tolist() == [why == "converged" for why in solution.reason]
    assert solution.converged[0]


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_the_intensity_scale_changes_nothing(make_map, solver, factor: float) -> None:
    f = make_map(3, rates=[0.5, 0.8, 0.95])
    start = torch.randn_like(f.b)
    plain = solve(f, start, solver, 1e-6, 40)
    scaled = solve(f.scaled(factor), factor * start, solver, 1e-6, 40)
    assert (
        scaled.evaluations.tolist() == plain.evaluations.tolist() and scaled.reason == plain.reason
    )
    assert_close(scaled.value / factor, plain.value, rtol=1e-6, atol=1e-6)
    for one, other in zip(scaled.trace, plain.trace):
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("solver", [Picard(), Anderson(), *LEARNED], **by_name)
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**13])
def test_nor_does_it_in_single_precision(make_map, solver, factor: float) -> None:
    f = make_map(3, rates=[0.5, 0.8, 0.95], dtype=torch.complex64)
    plain, scaled = (
        solve(g, torch.zeros_like(g.b), solver, 1e-4, 100) for g in (f, f.scaled(factor))
    )
    assert scaled.evaluations.tolist() == plain.evaluations.tolist()
    assert_close(scaled.value / factor, plain.value, rtol=1e-4, atol=1e-4)


def test_a_start_of_denormal_size_is_not_taken_for_a_fixed_point() -> None:
    b = torch.full((1, 4), 1e-30)
    solution = solve(lambda x: 0.5 * x + b, b.clone(), Picard(), 1e-3)
    assert not solution.converged[0] or torch.allclose(solution.value, 2 * b, rtol=1e-2, atol=0)


def test_every_sample_stops_for_its_own_reason() -> None:
    rate = torch.tensor([[0.1], [0.99], [5.0], [0.5]], dtype=torch.float64)
    calls = []

    def f(x: Tensor) -> Tensor:
        calls.append(len(x))
        out = rate * x + 1
        return torch.where((torch.arange(4) == 3)[:, None] & (len(calls) > 3), math.inf, out)

    solution = solve(f, torch.zeros(4, 1, dtype=torch.float64), Picard(), 1e-6, 30)
    assert solution.reason == ["converged", "budget", "diverged", "not finite"]
    assert solution.converged.tolist() == [True, False, False, False]
    evaluations = solution.evaluations.tolist()
    assert evaluations[1] == 30 and evaluations[2] < 10 and evaluations[3] == 4
    assert bool(torch.isfinite(solution.value).all())


def test_divergence_is_judged_by_growth_not_by_size() -> None:
    """A far start of a contraction has a large first residual and is no divergence."""
    solution = solve(lambda x: 0.9 * x + 1, torch.full((1, 1), 1e9), Picard(), 1e-3, 300)
    assert solution.reason == ["converged"]


def test_nothing_finite_ever_leaves_the_start() -> None:
    start = torch.ones(2, 3)
    solution = solve(lambda x: x * math.nan, start, Anderson())
    assert solution.reason == ["not finite"] * 2 and solution.evaluations.tolist() == [1, 1]
    assert torch.equal(solution.value, start) and bool(torch.isinf(solution.residual).all())


@pytest.mark.parametrize("stop", [3, 4, 5, 8])
def test_the_best_iterate_is_kept(stop: int) -> None:
    """A residual that falls and rises again: the value is the iterate at its minimum."""
    plan = [1.0, 0.5, 0.1, 0.3, 0.05, 0.4, 0.4, 0.4]
    seen: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        seen.append(x.clone())
        # x / (1 - r) has the relative residual r.
        return x / (1 - 0.9 * plan[len(seen) - 1])

    solution = solve(f, torch.ones(1, 2, dtype=torch.float64), Picard(), 1e-6, stop)
    best = min(range(stop), key=lambda k: plan[k])
    assert_close(solution.value, seen[best], rtol=0, atol=0)
    assert solution.trace[0] == pytest.approx([0.9 * r for r in plan[:stop]])
    assert float(solution.residual) == pytest.approx(0.9 * plan[best])


def test_the_trace_is_what_was_measured_and_no_more(make_map) -> None:
    f = make_map(4, rates=[0.0, 0.3, 0.6, 0.999])
    solution = solve(f, torch.zeros_like(f.b), Picard(), 1e-4, 20)
    evaluations = solution.evaluations.tolist()
    assert [len(trace) for trace in solution.trace] == evaluations
    assert evaluations == sorted(evaluations) and evaluations[0] == 2 and evaluations[3] == 20
    for trace, done in zip(solution.trace, solution.converged.tolist()):
        assert (trace[-1] <= 1e-4) == done and all(entry > 1e-4 for entry in trace[:-1])
    # Independent of the solver: the second entry is ||f(f(0)) - f(0)|| / ||f(f(0))||.
    first = f(torch.zeros_like(f.b))
    second = f(first)
    assert [t[1] for t in solution.trace] == pytest.approx(
        ((second - first).norm(dim=1) / second.norm(dim=1)).tolist()
    )


@pytest.mark.parametrize("solver", [Picard(), Anderson(), *LEARNED], **by_name)
def test_finished_samples_cost_nothing_where_the_map_can_select(make_map, solver) -> None:
    f = make_map(4, rates=[0.9, 0.05, 0.6, 0.3], selectable=True)
    solution = solve(f, torch.zeros_like(f.b), solver, 1e-8, 100)
    assert f.rows.pop() == 4  # the proof that those who left are still where they were
    assert sum(f.rows) == int(solution.evaluations.sum()) and f.rows == sorted(f.rows, reverse=True)
    assert f.rows[0] == 4 and f.rows[-1] == 1
    assert_close(solution.value, f.fixed_point(), rtol=1e-6, atol=1e-6)


def test_other_maps_always_see_the_whole_batch(make_map) -> None:
    f = make_map(3, rates=[0.9, 0.05, 0.5])
    solution = solve(f, torch.zeros_like(f.b), Picard(), 1e-8, 300)
    assert set(f.rows) == {3}
    assert_close(solution.value, f.fixed_point(), rtol=1e-6, atol=1e-6)


def test_the_start_is_not_modified(make_map) -> None:
    f = make_map(3, rates=[0.05, 0.5, 0.9])
    start = torch.randn_like(f.b)
    before = start.clone()
    solution = solve(f, start, Anderson(), 1e-6)
    solution.value.zero_()
    assert torch.equal(start, before)


def test_a_start_that_is_a_fixed_point_is_returned_as_a_tensor_of_its_own() -> None:
    start = torch.ones(2, 3)
    solution = solve(lambda x: x * 1.0, start)
    assert solution.evaluations.tolist() == [1, 1] and solution.trace == [[0.0], [0.0]]
    solution.value.zero_()
    assert torch.equal(start, torch.ones(2, 3))


def test_the_callback_sees_every_evaluation(make_map) -> None:
    f = make_map(2, rates=[0.05, 0.9])
    calls = []
    solution = solve(
        f,
        torch.zeros_like(f.b),
        Picard(),
        1e-3,
        8,
        callback=lambda k, x, running: calls.append((k, len(x), running.tolist())),
    )
    assert [call[0] for call in calls] == list(range(1, 9))
    assert calls[0][1:] == (2, [0, 1]) and calls[-1][1:] == (1, [1])
    assert sum(call[1] for call in calls) == int(solution.evaluations.sum())


@pytest.mark.parametrize(
    "f, words",
    [
        (lambda x: x[:, :2], "shape"),
        (lambda x: x.to(torch.complex128), "dtype"),
        (lambda x: x.to("meta"), "device"),
    ],
)
def test_a_map_that_changes_its_argument_is_refused(f, words: str) -> None:
    with pytest.raises(InputError, match=words):
        solve(f, torch.ones(2, 3, dtype=torch.complex64))


@pytest.mark.parametrize(
    "change", [lambda x: x[:, :1], lambda x: x.double()], ids=["shape", "dtype"]
)
@pytest.mark.parametrize("solver", [Picard(), Anderson(), Broyden()], ids=repr)
def test_a_map_that_changes_its_mind_is_refused_too(solver, change) -> None:
    calls = []

    def f(x: Tensor) -> Tensor:
        calls.append(x)
        return change(0.9 * x + 1) if len(calls) == 3 else 0.9 * x + 1

    with pytest.raises(InputError, match="f changes the"):
        solve(f, torch.arange(6.0).reshape(2, 3), solver, 1e-6)
    assert len(calls) == 3


@pytest.mark.parametrize(
    "options, words",
    [
        ({"tolerance": [1e-2, 1e-5]}, "tolerance: list given"),
        ({"max_evaluations": "ten"}, "max_evaluations: str given"),
        ({"max_evaluations": 0}, "max_evaluations: 0"),
        ({"tolerance": -1e-3}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
    ],
)
def test_an_impossible_budget_is_refused_before_any_work(options: dict, words: str) -> None:
    def never(x: Tensor) -> Tensor:
        raise AssertionError("evaluated")

    with pytest.raises(InputError, match=words):
        solve(never, torch.ones(1, 2), **options)


def test_no_tolerance_spends_the_budget(make_map) -> None:
    f = make_map(1, rates=0.9)
    solution = solve(f, torch.zeros_like(f.b), Picard(), 0.0, 7)
    assert solution.reason == ["budget"] and solution.evaluations.tolist() == [7]


@pytest.mark.parametrize("solver", [Picard(), Anderson(), *LEARNED], **by_name)
def test_a_map_that_gives_nothing_leads_to_nothing(solver) -> None:
    """f(x) = 0 is finite, though the relative residual of any other x is not."""
    solution = solve(lambda x: 0 * x, torch.full((2, 3), 100.0), solver, 1e-3, 10)
    assert solution.reason == ["converged"] * 2 and not solution.value.any()
