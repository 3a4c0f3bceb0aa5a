"""Every solver and gradient rule on a pretended device: the CPU's numbers, and at most one wait for
the device in an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from deqlab.equilibrium import (
    SHINE,
    EquilibriumLayer,
    ImplicitGradient,
    Invertible,
    JacobianFree,
    NeumannSeries,
    Phantom,
    Unrolled,
    equilibrium,
    jacobian_penalty,
    power_iteration,
)
from deqlab.equilibrium.measure import (
    dense_jacobian,
    expansion,
    spectral_norm,
    spectral_radius,
    worst_direction,
)
from deqlab.solvers import (
    FISTA,
    LBFGS,
    OPA,
    AbsoluteResidual,
    AdjointBroyden,
    Anderson,
    Backtracking,
    Broyden,
    Picard,
    Solution,
    conjugate_gradient,
    proximal_gradient,
    solve,
)

SOLVERS = {
    "picard": Picard(),
    "anderson": Anderson(memory=3),
    "anderson-damped": Anderson(damping=0.7),
    "fista": FISTA(),
    "broyden": Broyden(memory=40),
    "broyden-line-search": Broyden(memory=40, line_search=Backtracking()),
    "broyden-opa": Broyden(memory=40, opa=OPA(lambda x: x.conj() * 2, every=2)),
    "adjoint-broyden": AdjointBroyden(memory=40),
    "adjoint-broyden-opa": AdjointBroyden(memory=40, opa=OPA(lambda x: x * 2, every=2)),
    "lbfgs": LBFGS(memory=40),
    "lbfgs-few": LBFGS(memory=3),
}


@dataclass
class Saturating:
    """f(x) = tanh of both parts of M x + b, (batch, n), which samples may leave."""

    M: Tensor
    b: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        z = torch.einsum("bij,bj->bi", self.M, x) + self.b
        return torch.complex(torch.tanh(z.real), torch.tanh(z.imag))

    def select(self, index: Tensor) -> Saturating:
        return replace(self, M=self.M[index], b=self.b[index])

    def to(self, device: torch.device) -> Saturating:
        return replace(self, M=self.M.to(device), b=self.b.to(device))


@pytest.fixture
def f() -> Saturating:
    """Contracts by 0.3, 0.6 and 0.8."""
    M = torch.randn(3, 6, 6, dtype=torch.complex128)
    rates = torch.tensor([0.3, 0.6, 0.8]) / torch.linalg.matrix_norm(M, ord=2)
    return Saturating(M * rates[:, None, None], torch.randn(3, 6, dtype=torch.complex128))


def outcome(solution: Solution) -> tuple:
    """What of a Solution is on the device of its value."""
    inverse = solution.inverse
    probe = None if inverse is None else inverse.apply(inverse.left.new_ones(3, 12))
    return solution.value, solution.residual, probe


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers(same, f: Saturating, name: str) -> None:
    solutions = []

    def compute(f: Saturating, x0: Tensor) -> tuple:
        solutions.append(solve(f, x0, SOLVERS[name], 1e-9, 60))
        return outcome(solutions[-1])

    same(compute, f, torch.zeros(3, 6, dtype=torch.complex128))
    for part in ("evaluations", "converged", "products"):
        assert torch.equal(*(getattr(solution, part) for solution in solutions))
        assert all(getattr(solution, part).device.type == "cpu" for solution in solutions)
    assert solutions[0].reason == solutions[1].reason == ["converged"] * 3


def waits_within(device, f: Saturating, solver) -> list[int]:
    """How often the host waits from one evaluation to the next, all samples running."""
    begun: list[int] = []

    def note(*_: object) -> None:
        begun.append(len(device.waits) + len(device.uploads))

    x0, f = torch.zeros(3, 6, dtype=torch.complex128, device=device.name), f.to(device.name)
    solve(f, x0, solver, 0, 12, note)
    return [after - before for before, after in pairwise(begun)]


@pytest.mark.parametrize("name", SOLVERS)
def test_one_wait_in_an_evaluation(device, f: Saturating, name: str) -> None:
    """That for the residuals of all samples, which decide who goes on."""
    assert waits_within(device, f, SOLVERS[name]) == [1] * 11


@pytest.mark.parametrize("solver", [Broyden(memory=4), AdjointBroyden(memory=4)])
def test_a_full_memory_waits_for_its_decomposition(device, f: Saturating, solver) -> None:
    """Two eigendecompositions and one of singular values, once in memory / 2 evaluations."""
    assert set(waits_within(device, f, solver)) == {1, 4}


def test_few_waits_around_a_solve(device, f: Saturating) -> None:
    """Samples that leave, or that alone have improved, make no difference. At the end residuals go
    to the device and the number of products comes from there.
    """
    x0, f = torch.zeros(3, 6, dtype=torch.complex128, device=device.name), f.to(device.name)
    device.waits.clear(), device.uploads.clear()
    solution = solve(f, x0, Anderson(), 1e-9, 60, proof=False)
    assert len(solution.evaluations.unique()) == 3
    assert len(device.waits) == solution.evaluations.max() + 1 and len(device.uploads) == 1


def test_one_wait_in_a_product_of_conjugate_gradients(device, same) -> None:
    right = torch.randn(3, 5, 4, dtype=torch.complex128)
    diagonal = torch.rand(3, 5, 4, dtype=torch.float64) + torch.tensor([0.1, 1, 10])[:, None, None]
    solutions: list[Solution] = []

    def compute(diagonal: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        solutions.append(conjugate_gradient(lambda x: diagonal * x, right, tolerance=1e-10))
        return solutions[-1].value, solutions[-1].residual

    same(compute, diagonal, right)
    host, there = solutions
    assert host.reason == there.reason == ["converged"] * 3
    assert torch.equal(host.evaluations, there.evaluations)
    device.waits.clear(), device.uploads.clear()
    compute(diagonal.to(device.name), right.to(device.name))
    assert len(device.waits) <= there.evaluations.max() + 2
    assert len(device.uploads) == 2  # this test's own


def test_proximal_gradients(same) -> None:
    def compute(diagonal: Tensor, y: Tensor) -> tuple:
        soft = lambda v, step: torch.sgn(v) * (v.abs() - 0.1 * step).clamp_min(0)
        gradient = lambda x: diagonal * (diagonal * x - y)
        return outcome(proximal_gradient(gradient, soft, y, tolerance=1e-9))

    same(compute, torch.rand(3, 7).double() + 0.5, torch.randn(3, 7, dtype=torch.complex128))


class Layer(nn.Module):
    """x -> y + a contraction of x with a kink, on (batch, n)."""

    def __init__(self, n: int = 5):
        super().__init__()
        W = torch.randn(n, n, dtype=torch.complex128)
        self.W = nn.Parameter(0.6 * W / torch.linalg.matrix_norm(W, ord=2))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = x @ self.W.mT
        return y + torch.complex(torch.nn.functional.leaky_relu(z.real, 0.1), torch.tanh(z.imag))


RULES = {
    "implicit": (Anderson(), ImplicitGradient(tolerance=1e-9)),
    "jacobian-free": (Picard(), JacobianFree()),
    "neumann": (Picard(), NeumannSeries(3)),
    "phantom": (Picard(), Phantom(3)),
    "unrolled": (Picard(), Unrolled(4)),
    "unrolled-checkpoints": (Picard(), Unrolled(4, "sqrt")),
    "invertible": (Picard(), Invertible(4)),
    "shine": (Broyden(), SHINE()),
    "shine-refined": (LBFGS(), SHINE(refine=2)),
    "shine-adjoint": (AdjointBroyden(), SHINE(fallback=0.5)),
}


@pytest.mark.parametrize("name", RULES)
def test_gradient_rules(same, name: str) -> None:
    solver, rule = RULES[name]
    layer = EquilibriumLayer(Layer(), solver, rule, 1e-9)

    def compute(layer: EquilibriumLayer, y: Tensor) -> tuple[Tensor, ...]:
        y = y.clone().requires_grad_()
        loss = layer(torch.zeros_like(y), y).abs().pow(3).sum()
        return loss.detach(), *torch.autograd.grad(loss, [layer.f.W, y])

    same(compute, layer, torch.randn(3, 5, dtype=torch.complex128))


def test_a_backward_solve_waits_once_a_product(device) -> None:
    seen: list[Solution] = []
    layer = EquilibriumLayer(Layer(), gradient=ImplicitGradient(observe=seen.append))
    layer.to(device.name)
    y = torch.randn(3, 5, dtype=torch.complex128, device=device.name)
    loss = layer(torch.zeros_like(y), y).abs().sum()
    device.waits.clear()
    loss.backward()
    assert layer.f.W.grad.device == device.name
    # At the end one more for the products counted, and one to look again at those that rest.
    assert len(device.waits) == seen[0].evaluations.max() + 2


def test_states_of_several_tensors(same) -> None:
    def compute(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        b = b.clone().requires_grad_()
        f = lambda s: (0.4 * torch.sin(s[0]) + a, 0.3 * s[1] + b * s[0].abs().sum(1, True) / 9)
        start = torch.zeros_like(a), torch.zeros_like(b)
        solution = equilibrium(f, start, criterion=AbsoluteResidual(), tolerance=1e-9)
        loss = solution.value[0].abs().sum() + solution.value[1].square().sum()
        return *solution.value, *torch.autograd.grad(loss, b)

    same(compute, torch.randn(2, 5, dtype=torch.complex128), torch.randn(2, 3).double())


def test_measures_of_contraction(same) -> None:
    def compute(layer: Layer, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        f = lambda x: layer(x, y)
        penalty = jacobian_penalty(f, x, 2, torch.Generator().manual_seed(0))
        rate, direction = power_iteration(f, x)
        radius = torch.full_like(x.real[:, :1], 0.1)
        worst = worst_direction(f, x, f(x), radius, 3, f(x) - x)
        return (
            penalty,
            *torch.autograd.grad(penalty.sum(), layer.W),
            rate,
            direction,
            dense_jacobian(f, x),
            spectral_norm(f, x, 5),
            spectral_radius(f, x, 6),
            worst,
            expansion(f, x, f(x), worst),
        )

    same(compute, Layer(), *torch.randn(2, 3, 5, dtype=torch.complex128))
