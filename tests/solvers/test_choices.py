"""What a solve may be given: tuples, earlier solutions, budgets of each sample, criteria; and what
it refuses.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import (
    FISTA,
    LBFGS,
    AbsoluteResidual,
    AdjointBroyden,
    Anderson,
    Broyden,
    Picard,
    RelativeResidual,
    solve,
)
from deqlab.solvers.evaluation import Evaluation
from deqlab.solvers.flat import flatten
from deqlab.solvers.protocol import Criterion, Solver

SOLVERS = [Picard(), Anderson()]
by_name = {"ids": repr}


def as_tuple(f, split: int):
    """The same map on a state of two parts, the second one with an axis more."""

    def on_tuple(state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x = f(torch.cat([state[0], state[1].flatten(1)], dim=1))
        return x[:, :split], x[:, split:, None]

    return on_tuple


@pytest.mark.parametrize("selectable", [False, True])
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_a_tuple_is_solved_as_one_vector(make_map, solver, selectable: bool) -> None:
    """Same trace, same value: one residual for all parts, one mixture for all parts."""
    f = make_map(3, rates=[0.1, 0.5, 0.9])
    g = as_tuple(f, 2)
    if selectable:
        g.select = lambda index: as_tuple(f.members(index), 2)
    start = torch.randn_like(f.b)
    one = solve(f, start, solver, 1e-8, 300)
    two = solve(g, (start[:, :2], start[:, 2:, None]), solver, 1e-8, 300)
    assert isinstance(two.value, tuple) and two.value[1].shape == (3, 4, 1)
    assert two.reason == one.reason == ["converged"] * 3
    assert two.evaluations.tolist() == one.evaluations.tolist()
    assert_close(flatten(two.value), flatten(one.value), rtol=1e-10, atol=1e-10)


def test_a_tuple_of_a_real_and_a_complex_tensor() -> None:
    b = torch.randn(2, 3, dtype=torch.complex128)
    rate = torch.tensor([[0.3j], [0.8j]], dtype=torch.complex128)

    def f(state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """z = i c z + b and t = |c| t + 1."""
        return rate.abs() * state[0] + 1, rate * state[1] + b

    solution = solve(
        f, (torch.zeros(2, 1, dtype=torch.float64), torch.zeros_like(b)), Anderson(), 1e-10
    )
    assert_close(solution.value, (1 / (1 - rate.abs()), b / (1 - rate)))


@dataclass(frozen=True)
class Halfway:
    """A solver that has what the protocol asks for and nothing else."""

    needs_products: ClassVar[bool] = False
    keeps_inverse: ClassVar[bool] = False

    def init(self, x: Tensor) -> int:
        return 0

    def step(self, state: int, at: Evaluation) -> tuple[Tensor, int]:
        return (at.x + at.f) / 2, state + 1

    def select(self, state: int, index: Tensor) -> int:
        return state

    def inverse(self, state: int, at: Evaluation) -> None:
        return None


@dataclass(frozen=True)
class Largest:
    """A criterion of one's own: the residual against the larger of f(x) and 1."""

    def __call__(self, size: float, length: float) -> float:
        return size / max(length, 1.0)

    def smallest(self, dtype: torch.dtype) -> float:
        return torch.finfo(dtype).eps


def test_what_has_the_methods_of_a_solver_and_of_a_criterion_is_one(make_map) -> None:
    f = make_map(3, rates=[0.1, 0.5, 0.9])
    start = torch.zeros_like(f.b)
    one = solve(f, start, Halfway(), 1e-6, 400, criterion=Largest())
    two = solve(f, start, Picard(damping=0.5), 1e-6, 400, criterion=Largest())
    assert one.converged.all() and one.evaluations.tolist() == two.evaluations.tolist()
    assert_close(one.value, two.value, rtol=1e-10, atol=1e-10)
    assert one.state == int(one.evaluations.max()) - 1


SHIPPED = (Picard(), Anderson(), Broyden(), AdjointBroyden(), LBFGS(), FISTA())


@pytest.mark.parametrize(
    ("protocol", "objects"),
    [(Solver, SHIPPED), (Criterion, (RelativeResidual(), AbsoluteResidual()))],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_shipped_offers_what_the_protocol_names(protocol: type, objects: tuple) -> None:
    methods = {name for name, part in vars(protocol).items() if inspect.isfunction(part)}
    members = {*methods, *protocol.__annotations__} - {"__init__", "__subclasshook__"}
    assert len(members) >= 2
    for thing in objects:
        assert protocol.__name__ not in {kind.__name__ for kind in type(thing).__mro__}
        for name in members:
            assert inspect.getattr_static(thing, name, None) is not None, (thing, name)


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_a_solution_is_a_start(make_map, solver) -> None:
    f = make_map(3, rates=[0.2, 0.5, 0.9])
    coarse = solve(f, torch.zeros_like(f.b), solver, 1e-3, 100)
    before = coarse.value.clone()
    fine = solve(f, coarse, solver, 1e-8, 400)
    assert fine.converged.all()
    assert [entry[0] for entry in fine.trace] == pytest.approx(coarse.residual.tolist())
    assert torch.equal(coarse.value, before)


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_every_sample_has_its_own_tolerance_and_budget(make_map, solver) -> None:
    f = make_map(4, rates=0.8)
    tolerance = torch.tensor([1e-2, 1e-8, 1e-4, 1e-8], dtype=torch.float64)
    budget = torch.tensor([200, 200, 200, 3])
    together = solve(f, torch.zeros_like(f.b), solver, tolerance, budget)
    assert together.reason == ["converged"] * 3 + ["budget"] and int(together.evaluations[3]) == 3
    for member in range(4):
        alone = solve(
            f.members([member]),
            torch.zeros(1, 6, dtype=f.b.dtype),
            solver,
            float(tolerance[member]),
            int(budget[member]),
        )
        assert int(alone.evaluations) == int(together.evaluations[member])
        assert float(alone.residual) == pytest.approx(float(together.residual[member]), rel=1e-6)


def test_an_absolute_tolerance_is_met_in_the_units_of_x(make_map) -> None:
    f = make_map(2, rates=0.5)
    for scale in (1e-3, 1.0, 1e3):
        solution = solve(
            f.scaled(scale),
            torch.zeros_like(f.b),
            Picard(),
            1e-5,
            100,
            criterion=AbsoluteResidual(),
        )
        measured = (f.scaled(scale)(solution.value) - solution.value).abs().square().sum(1).sqrt()
        assert solution.converged.all() and bool((measured <= 1e-5).all())
        assert_close(solution.residual, measured)
        assert all(trace[-2] > 1e-5 for trace in solution.trace)
    # The fixed point 0 is what the relative residual cannot recognise: it stays at 1.
    to_zero = lambda x: 0.5 * x
    absolute, relative = (
        solve(to_zero, torch.ones(1, 2), Picard(), 1e-3, 60, criterion=c)
        for c in (AbsoluteResidual(), RelativeResidual())
    )
    assert absolute.reason == ["converged"] and relative.reason == ["budget"]


def test_slow_is_not_stagnant() -> None:
    """Picard at the rate 0.999 falls by a tenth in 100 evaluations: it is left alone. At 0.99999 it
    is not.
    """
    rate = torch.tensor([[0.999], [0.99999]], dtype=torch.float64)
    solution = solve(lambda x: rate * x + 1, 0.9 / (1 - rate), Picard(), 1e-7, 20000)
    assert solution.reason == ["converged", "stagnated"]
    assert int(solution.evaluations[1]) < 300


def test_a_limit_cycle_and_the_rounding_level_are_stagnation() -> None:
    cycle = solve(lambda x: 1 - x, torch.full((1, 2), 0.9), Picard(), 1e-3, 1000)
    assert cycle.reason == ["stagnated"] and int(cycle.evaluations) == 102
    # Rounded to 1e-3, a contraction never comes below that.
    shake = torch.randn(1000, 1, 4, dtype=torch.float64)
    calls = iter(range(1000))
    noisy = solve(
        lambda x: 0.5 * x + 1 + 1e-3 * shake[next(calls)],
        torch.zeros(1, 4, dtype=torch.float64),
        Picard(),
        1e-8,
        1000,
    )
    assert noisy.reason == ["stagnated"] and float(noisy.residual) < 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float64, torch.bfloat16])
def test_a_tolerance_below_rounding_is_refused_with_the_smallest_possible(
    dtype: torch.dtype,
) -> None:
    smallest = torch.finfo(dtype).eps
    with pytest.raises(InputError, match=rf"tolerance.*{smallest:.2g}"):
        solve(lambda x: x / 2, torch.ones(1, 2, dtype=dtype), tolerance=smallest / 2)
    solve(lambda x: x / 2, torch.ones(1, 2, dtype=dtype), tolerance=smallest, max_evaluations=1)


def never(x: Tensor) -> Tensor:
    raise AssertionError("evaluated")


@pytest.mark.parametrize(
    "start, options, words",
    [
        (torch.ones(2, 3), {"tolerance": torch.tensor([1e-3, -1.0])}, "tolerance: -1"),
        (torch.ones(2, 3), {"tolerance": torch.tensor([1e-3] * 3)}, r"tolerance: .*\(3,\).*\(2,\)"),
        (torch.ones(2, 3), {"max_evaluations": torch.tensor([3, 0])}, "max_evaluations: 0"),
        (torch.ones(2, 3), {"max_evaluations": 2.5}, "max_evaluations: 2.5"),
        (torch.ones(2, 3), {"max_evaluations": math.inf}, "max_evaluations: inf"),
        (torch.ones(2, 3, dtype=torch.long), {}, "x0: dtype"),
        ([torch.ones(2, 3)], {}, "x0: list"),
        ((), {}, "x0: tuple"),
        ((torch.ones(2, 3), torch.ones(3, 3)), {}, "batch size"),
        (torch.ones(0, 3), {}, "shape"),
        ((torch.ones(2, 3), torch.ones(2, 3, device="meta")), {}, "device"),
    ],
)
def test_an_impossible_task_is_refused_before_any_work(start, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        solve(never, start, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "f, words",
    [
        (lambda x: x[0], "structure"),
        (lambda x: (*x, x[0]), "structure"),
        (lambda x: (x[0], x[1][:, :2]), "shape"),
        (lambda x: (x[0], None), "NoneType"),
        (lambda x: (x[0].double(), x[1]), "dtype"),
    ],
)
def test_a_map_that_changes_its_tuple_is_refused(f, words: str) -> None:
    with pytest.raises(InputError, match=words):
        solve(f, (torch.ones(2, 3), torch.ones(2, 4, dtype=torch.complex64)))


def test_a_map_that_writes_into_its_argument_is_refused() -> None:
    """Its residual would be zero everywhere."""
    with pytest.raises(InputError, match="in place"):
        solve(lambda x: x.mul_(0.5).add_(1), torch.ones(1, 2))


@pytest.mark.parametrize(
    "kind, option, value",
    [
        (Anderson, "regularization", -1e-6),
        (Anderson, "regularization", math.nan),
        (Anderson, "damping", 0.0),
        (Anderson, "damping", math.nan),
        (Picard, "damping", -0.5),
        (Picard, "damping", math.inf),
    ],
)
def test_an_option_without_a_meaning_is_refused(kind: type, option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{option}: {value} given"):
        kind(**{option: value})
