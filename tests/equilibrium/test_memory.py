"""A training step keeps one graph of f, however long the solve was."""

from __future__ import annotations

import pytest
import torch

from deqlab.equilibrium import ImplicitGradient, JacobianFree, equilibrium
from deqlab.networks import DnCNN
from deqlab.solvers import Anderson, Picard


class Counted:
    """f(x) = 0.5 (y + R(x)), and how often it was called with and without recording."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.denoiser = DnCNN(3, 8)
        for parameter in self.denoiser.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        self.y = torch.randn(2, 16, 16, dtype=torch.complex64)
        self.recorded = self.silent = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.recorded += 1
        else:
            self.silent += 1
        return 0.5 * (self.y + self.denoiser(x))


def saved_bytes(step) -> int:
    """Bytes that `step`, forward and backward, keeps for the backward pass."""
    total = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return total


@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
@pytest.mark.parametrize("gradient", [ImplicitGradient(), JacobianFree()], ids=["implicit", "jacobian-free"])
def test_saved_bytes_do_not_grow_with_the_evaluations(gradient, solver) -> None:
    figures = {}
    for evaluations in (10, 100):
        f = Counted()
        figures[evaluations] = saved_bytes(
            lambda: (
                equilibrium(f, torch.zeros_like(f.y), solver, gradient, 0.0, evaluations)
                .value.abs()
                .sum()
                .backward()
            )
        )
        # Tolerance 0: the whole budget is spent, without recording; then one evaluation is recorded.
        assert (f.silent, f.recorded) == (evaluations, 1)
        assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in f.denoiser.parameters())
    assert figures[100] <= 1.01 * figures[10]

    f = Counted()
    once = saved_bytes(lambda: f(torch.zeros_like(f.y).requires_grad_()).abs().sum().backward())
    assert figures[100] <= 1.01 * once


def test_nothing_of_a_step_outlives_it() -> None:
    """The rule holds the graph of f, and the graph must not hold the rule: no cycle keeps it alive."""
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        f = Counted()
        value = equilibrium(f, torch.zeros_like(f.y)).value
        node = weakref.ref(value.grad_fn)
        value.abs().sum().backward()
        del value
        assert node() is None
    finally:
        gc.enable()
