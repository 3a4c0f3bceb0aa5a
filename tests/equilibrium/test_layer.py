"""The layer among the rest of torch: torch.compile, autocast, CUDA, float32."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.equilibrium import (
    EquilibriumLayer,
    ImplicitGradient,
    Invertible,
    JacobianFree,
    NeumannSeries,
    Phantom,
    Unrolled,
    equilibrium,
)
from deqlab.solvers import LBFGS, Anderson, Broyden, Picard, solve

RULES = [
    ImplicitGradient(tolerance=1e-5),
    JacobianFree(),
    NeumannSeries(4),
    Phantom(4, 0.5),
    Unrolled(4),
    Unrolled(4, "sqrt"),
    Invertible(8, 0.5),
]


class Image(nn.Module):
    """y + N(x) on real images (batch, 2, y, x), two convolutions, no cast of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (
            functional.conv2d(
                torch.tanh(self.first(x)), self.second.weight, 0.1 * self.second.bias, padding=1
            )
            + y
        )


def gradients(f: nn.Module, y: Tensor, rule, tolerance: float = 1e-5) -> tuple[Tensor, Tensor]:
    """The equilibrium and the gradient of a loss of it in the parameters of f."""
    layer = EquilibriumLayer(f, gradient=rule, tolerance=tolerance)
    x = layer(torch.zeros_like(y), y)
    found = torch.autograd.grad(x.square().sum(), list(f.parameters()))
    return x.detach(), torch.cat([part.flatten() for part in found])


def apart(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_compiled_map(rule, backend: str) -> None:
    """The graph of a compiled f serves several products as well."""
    torch._dynamo.reset()
    f, y = Image(), torch.randn(2, 2, 6, 5)
    expected = gradients(f, y, rule)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # torch.compile itself looks at .grad of what it traces
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
        found = gradients(torch.compile(f, backend=backend), y, rule)
    assert apart(found[0], expected[0]) < 1e-5
    assert apart(found[1], expected[1]) < 1e-4


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if not isinstance(rule, ImplicitGradient)], ids=repr
)
def test_autocast_keeps_the_state_in_its_precision(rule) -> None:
    """f in bfloat16, the solve, the solution and the gradients in float32, and near those of a
    float32 f.
    """
    f, y, seen = Image(), torch.randn(2, 2, 6, 5), []
    f.first.register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0].dtype, output.dtype))
    )
    expected = gradients(f, y, rule, 1e-2)
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        layer = EquilibriumLayer(f, gradient=rule, tolerance=1e-2)
        x = layer(torch.zeros_like(y), y)
    # The backward runs outside, as torch asks for; what is evaluated there again must know of it.
    found = torch.autograd.grad(x.square().sum(), list(f.parameters()))
    assert x.dtype == torch.float32 and layer.solution.converged.all()
    assert set(seen) == {(torch.float32, torch.bfloat16)}
    assert all(part.dtype == torch.float32 for part in found)
    assert apart(x.detach(), expected[0]) < 2e-2
    assert apart(torch.cat([part.flatten() for part in found]), expected[1]) < 5e-2


def test_autocast_with_the_implicit_gradient() -> None:
    """Its backward works to the rounding of bfloat16, about 1e-2."""
    f, y = Image(), torch.randn(2, 2, 6, 5)
    expected = gradients(f, y, ImplicitGradient(tolerance=1e-5))
    with torch.autocast("cpu", torch.bfloat16):
        layer = EquilibriumLayer(f, gradient=ImplicitGradient(tolerance=1e-2), tolerance=1e-2)
        x = layer(torch.zeros_like(y), y)
    found = torch.autograd.grad(x.square().sum(), list(f.parameters()))
    assert apart(torch.cat([part.flatten() for part in found]), expected[1]) < 5e-2


def test_only_autocast_may_change_the_precision() -> None:
    with pytest.raises(InputError, match="f changes the dtype"):
        equilibrium(lambda x: (0.5 * x + 1).bfloat16(), torch.zeros(2, 3))
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(InputError, match="f changes the dtype"),
    ):
        equilibrium(lambda x: (0.5 * x + 1).double(), torch.zeros(2, 3))


class Selectable:
    """x -> a x + 1 in half precision, sample by sample; counts the samples it has seen."""

    def __init__(self, a: Tensor, rows: list[int]):
        self.a, self.rows = a, rows

    def __call__(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        return (self.a * x + 1).bfloat16()

    def select(self, index: Tensor) -> Selectable:
        return Selectable(self.a[index], self.rows)


def test_done_samples_leave_the_batch_under_autocast_too() -> None:
    """The map that casts back passes `select` on where f has it, and only there."""
    a, rows = torch.tensor([[0.0], [0.5]]).requires_grad_(), []
    with torch.autocast("cpu", torch.bfloat16):
        solution = equilibrium(
            Selectable(a, rows), torch.zeros(2, 3), Picard(), JacobianFree(), 1e-2
        )
        equilibrium(
            lambda x: (a * x + 1).bfloat16(), torch.zeros(2, 3), Picard(), JacobianFree(), 1e-2
        )
    assert solution.evaluations[0] < solution.evaluations[1]
    assert sum(rows[:-1]) == int(solution.evaluations.sum())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_cuda_agrees_with_the_cpu(rule) -> None:
    f, y = Image().double(), torch.randn(2, 2, 6, 5, dtype=torch.float64)
    expected = gradients(f, y, rule, 1e-10)
    x, found = gradients(f.cuda(), y.cuda(), rule, 1e-10)
    assert x.is_cuda
    assert apart(x.cpu(), expected[0]) < 1e-9
    assert apart(found.cpu(), expected[1]) < 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rule", RULES[1:], ids=repr)
def test_cuda_autocast(rule) -> None:
    f, y = Image().cuda(), torch.randn(2, 2, 6, 5).cuda()
    expected = gradients(f, y, rule, 1e-2)
    with torch.autocast("cuda", torch.bfloat16):
        x = EquilibriumLayer(f, gradient=rule, tolerance=1e-2)(torch.zeros_like(y), y)
    found = torch.autograd.grad(x.square().sum(), list(f.parameters()))
    assert apart(torch.cat([part.flatten() for part in found]), expected[1]) < 5e-2


@pytest.mark.parametrize(
    "options, words",
    [
        ({"tolerance": -1e-3}, "tolerance: -0.001 given"),
        ({"tolerance": torch.tensor([1e-3, torch.nan])}, "tolerance"),
        ({"max_evaluations": 0}, "max_evaluations: 0 given"),
    ],
)
def test_an_impossible_backward_budget_is_refused_before_the_forward_solve(
    options: dict, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        ImplicitGradient(**options)


@pytest.mark.parametrize("solver", [Anderson(), Broyden(), LBFGS()], ids=repr)
def test_a_solver_works_in_the_precision_of_the_state_under_autocast(solver) -> None:
    """f here is no network, so autocast changes nothing, and the solver's products neither."""
    A = 0.8 * torch.randn(2, 12, 12) / 12**0.5
    b = torch.randn(2, 12)

    def f(x: Tensor) -> Tensor:
        return (A * x.unsqueeze(1)).sum(-1).tanh() + b

    plain = solve(f, torch.zeros_like(b), solver, 1e-5, 60)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = solve(f, torch.zeros_like(b), solver, 1e-5, 60)
    assert plain.trace == mixed.trace and torch.equal(plain.value, mixed.value)
