"""A map that couples what `solve` takes for independent samples is never "converged" where it is
not, and one that treats them apart never hears of it.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from deqlab.core.errors import DeqlabWarning
from deqlab.equilibrium import EquilibriumLayer, JacobianFree, equilibrium
from deqlab.solvers import LBFGS, AdjointBroyden, Anderson, Broyden, Picard, solve
from deqlab.solvers.coupled_samples import SLACK

SOLVERS = [Picard(), Picard(damping=0.6), Anderson(), Broyden(), AdjointBroyden(), LBFGS()]
by_name = {"ids": repr}


def vector():
    """An unbatched vector: the six numbers of one sample are taken for six samples."""
    torch.manual_seed(3)
    A = torch.randn(6, 6)
    A, b = 0.9 * A / torch.linalg.matrix_norm(A, 2), torch.randn(6)
    return lambda x: A @ x + b, torch.zeros(6)


def image():
    """An unbatched image, whose rows are taken for samples."""
    torch.manual_seed(0)
    kernel = torch.ones(1, 1, 5, 5) / 25
    y = torch.rand(24, 24) * torch.linspace(0, 1, 24)[:, None]
    blur = lambda x: torch.nn.functional.conv2d(x[None, None], kernel, padding=2)[0, 0]
    return lambda x: 0.9 * blur(x) + 0.1 * y, torch.zeros(24, 24)


def graph():
    """Nodes of a graph: each listens to its neighbours."""
    torch.manual_seed(1)
    edges = (torch.rand(8, 8) < 0.4).float() + torch.eye(8)
    edges, features = edges / edges.sum(1, keepdim=True), torch.randn(8, 4)
    rate = torch.logspace(-2, 0, 8)[:, None] * 0.95
    return lambda x: torch.tanh(rate * (edges @ x) + features), torch.zeros(8, 4)


def batch_norm():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm1d(5, affine=False)
    u = torch.randn(6, 5) * torch.logspace(-2, 1, 6)[:, None]
    return lambda x: torch.tanh(0.6 * norm(x.flip(1)) + u), torch.zeros(6, 5)


def half_a_tuple():
    """One tensor of the state is each sample's own, the other a sum over the batch."""
    rate = torch.linspace(0.05, 0.9, 5)[:, None]

    def f(state):
        own, shared = state
        everyone = shared.mean(0, keepdim=True).expand_as(shared)
        return rate * own + 1, 0.5 * everyone + own.mean(0, keepdim=True) * rate

    return f, (torch.zeros(5, 3), torch.zeros(5, 3))


COUPLED = [vector, image, graph, batch_norm, half_a_tuple]


def residuals(f, x) -> Tensor:
    """The true ones, per sample, of a tensor or a tuple."""
    before, after = (s if isinstance(s, tuple) else (s,) for s in (x, f(x)))
    flat = lambda parts: torch.cat([p.detach().reshape(len(p), -1) for p in parts], 1)
    return (flat(after) - flat(before)).norm(dim=1) / flat(after).norm(dim=1)


@pytest.mark.filterwarnings("ignore:f couples")
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("make", COUPLED)
def test_what_is_converged_is_so_in_truth(make, solver, tolerance: float) -> None:
    f, x0 = make()
    solution = solve(f, x0, solver, tolerance, 200)
    true = residuals(f, solution.value)
    assert bool((true[solution.converged] <= SLACK * tolerance + 1e-6).all())
    assert solution.converged.tolist() == [why == "converged" for why in solution.reason]
    if "coupled" in solution.reason:
        torch.testing.assert_close(solution.residual.float(), true, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("make", [vector, graph, batch_norm])
def test_plain_iteration_arrives_at_the_joint_fixed_point(make) -> None:
    """Those that are done stay where they are and not at zero, so the others see what they shall:
    no answer is far off.
    """
    f, x0 = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        solution = solve(f, x0, Picard(), 1e-5, 500)
    y = f(solution.value)
    assert float((y - solution.value).norm() / y.norm()) < 3e-3


def test_a_sample_whose_truth_changes_late_is_coupled_and_told() -> None:
    """Three samples are done at once, and the slow one drags them away afterwards."""
    rate = torch.tensor([0.0, 0.0, 0.0, 0.95])[:, None]

    def f(x: Tensor) -> Tensor:
        return rate * x + 1 + 0.1 * (x[3] - 1) * (rate == 0)

    with pytest.warns(DeqlabWarning, match="f couples the samples") as told:
        solution = solve(f, torch.ones(4, 2), Picard(), 1e-3, 300)
    assert solution.reason == ["coupled"] * 3 + ["converged"] and len(told) == 1
    assert solution.converged.tolist() == [False] * 3 + [True]
    torch.testing.assert_close(solution.residual.float(), residuals(f, solution.value))


class Selecting:
    """Offers `select` as if its samples were independent, though their mean enters."""

    def __init__(self, rate: Tensor):
        self.rate = rate

    def __call__(self, x: Tensor) -> Tensor:
        return self.rate * x + 1 + 0.3 * x.mean(0, keepdim=True) * (self.rate < 0.5)

    def select(self, index: Tensor) -> Selecting:
        return Selecting(self.rate[index])


@pytest.mark.parametrize("rule", [None, JacobianFree()], ids=str)
def test_the_evaluation_of_an_equilibrium_proves_the_solve(rule) -> None:
    """Also where those that are done had left the batch, and without one more evaluation."""
    f = Selecting(torch.tensor([0.1, 0.2, 0.9])[:, None])
    calls = []

    class Counted(Selecting):
        def __call__(self, x: Tensor) -> Tensor:
            calls.append(len(x))
            return super().__call__(x)

    options = {} if rule is None else {"gradient": rule}
    counted = Counted(f.rate.clone().requires_grad_())
    with pytest.warns(DeqlabWarning, match="f couples the samples"):
        solution = equilibrium(
            counted, torch.zeros(3, 2), Picard(), tolerance=1e-4, max_evaluations=200, **options
        )
    assert "coupled" in solution.reason and not solution.converged.all()
    assert len([n for n in calls if n == 3]) == int(solution.evaluations.min()) + 1


class Neighbours(Selecting):
    """The sample before enters, not the mean."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.rate * x + 1 + 0.3 * x.roll(1, 0) * (self.rate < 0.5)

    def select(self, index: Tensor) -> Neighbours:
        return Neighbours(self.rate[index])


class Misplaced(Selecting):
    """`select` gives the first samples, whichever are asked for."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.rate * x + 1

    def select(self, index: Tensor) -> Misplaced:
        return Misplaced(self.rate[: len(index)])


@pytest.mark.filterwarnings("ignore:f couples")
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("kind", [Selecting, Neighbours, Misplaced])
def test_select_hides_no_coupling_from_solve(kind, solver) -> None:
    """Whoever was done has left, and the rest was solved without it: "converged" to elsewhere."""
    f = kind(torch.tensor([0.05, 0.2, 0.4, 0.9])[:, None])
    solution = solve(f, torch.zeros(4, 2), solver, 1e-4, 300)
    true = residuals(f, solution.value)
    assert bool((true[solution.converged] <= SLACK * 1e-4 + 1e-6).all())
    assert kind is Misplaced or not solution.converged.all()


def test_an_honest_select_pays_one_evaluation_for_its_proof(make_map) -> None:
    f = make_map(4, rates=[0.9, 0.05, 0.6, 0.3], selectable=True)
    for proof in (True, False):
        f.rows.clear()
        solution = solve(f, torch.zeros_like(f.b), Picard(), 1e-6, 300, proof=proof)
        assert solution.converged.all()
        assert sum(f.rows) == int(solution.evaluations.sum()) + 4 * proof
    f.rows.clear()
    solve(f, torch.zeros_like(f.b), Picard(), 0.0, 7)
    assert f.rows == [4] * 7  # nobody has left


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_honest_maps_hear_nothing_and_pay_nothing(make_map, solver, dtype) -> None:
    """As many evaluations as the slowest sample takes, no warning, whatever ends the others."""
    f = make_map(5, rates=[0.05, 0.5, 0.9, 0.99, 3.0], dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tolerance in (0.0, 1e-6, 1e-3):
            f.rows.clear()
            solution = solve(f, torch.zeros_like(f.b), solver, tolerance, 40)
            assert len(f.rows) == int(solution.evaluations.max())
            assert "coupled" not in solution.reason


class Normed(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm = torch.nn.Linear(6, 6), torch.nn.BatchNorm1d(6)

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.tanh(0.3 * self.norm(self.linear(x)) + u)


def test_running_statistics_are_those_of_the_equilibrium() -> None:
    """The solve leaves them alone; the one evaluation that counts updates them."""
    f, u = Normed().train(), torch.randn(6, 6)
    layer = EquilibriumLayer(f, tolerance=1e-4)
    x = layer(torch.zeros_like(u), u)
    assert int(f.norm.num_batches_tracked) == 1 and f.norm.track_running_stats
    mean = f.linear(layer.solution.value).mean(0)
    # One update moves the mean from 0 by its momentum, here a tenth.
    torch.testing.assert_close(f.norm.running_mean, 0.1 * mean, rtol=1e-3, atol=1e-4)
    x.sum().backward()
    f.eval()
    layer(torch.zeros_like(u), u)
    assert int(f.norm.num_batches_tracked) == 1
