"""What a state of half precision allows is said before anything is solved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.equilibrium import EquilibriumLayer, ImplicitGradient, JacobianFree, equilibrium

HALVES = [torch.bfloat16, torch.float16]
TOO_FINE = {torch.bfloat16: 1e-3, torch.float16: 1e-4}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_backward_tolerance_below_rounding_is_refused_before_the_solve(dtype) -> None:
    """The message names the rule that has it, for the user may never have written it."""
    calls = []

    def f(x: Tensor) -> Tensor:
        calls.append(x)
        return 0.3 * x + 1

    rule = ImplicitGradient(tolerance=TOO_FINE[dtype])
    with pytest.raises(InputError, match=r"ImplicitGradient\(tolerance=.*rounding") as error:
        equilibrium(f, torch.zeros(2, 3, dtype=dtype), gradient=rule, tolerance=2e-2)
    assert not calls and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rule", [ImplicitGradient(), ImplicitGradient(tolerance=2e-2), JacobianFree()], ids=str
)
def test_a_rule_that_can_serve_does(rule) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 6).bfloat16()
    layer = EquilibriumLayer(
        lambda x, u: 0.3 * torch.tanh(linear(x)) + u, gradient=rule, tolerance=2e-2
    )
    layer(torch.zeros(4, 6).bfloat16(), torch.randn(4, 6).bfloat16()).sum().backward()
    assert linear.weight.grad is not None and bool(linear.weight.grad.any())


def test_nothing_is_asked_where_nothing_is_differentiated() -> None:
    with torch.no_grad():
        value = equilibrium(
            lambda x: 0.3 * x + 1, torch.zeros(2, 3).bfloat16(), tolerance=2e-2
        ).value
    assert value.dtype == torch.bfloat16


def test_limits_of_another_batch_are_refused_before_the_solve_too() -> None:
    rule = ImplicitGradient(tolerance=torch.full((3,), 1e-3))
    with pytest.raises(InputError, match=r"ImplicitGradient.*shape \(3,\)"):
        equilibrium(lambda x: 0.3 * x + 1, torch.zeros(2, 3), gradient=rule)


def test_a_tuple_has_the_precision_of_its_finest_tensor() -> None:
    start = (torch.zeros(2, 3).bfloat16(), torch.zeros(2, 3))
    w = torch.tensor(0.3, requires_grad=True)
    value = equilibrium(lambda s: (w.bfloat16() * s[0] + 1, w * s[1] + 1), start, tolerance=1e-2)
    sum(part.float().sum() for part in value.value).backward()
    assert w.grad is not None
