"""What a training step keeps alive: one graph of f, however long the solve was; for unrolled twins
what their kind promises.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor

from deqlab.equilibrium import (
    ImplicitGradient,
    JacobianFree,
    NeumannSeries,
    Phantom,
    equilibrium,
    momentum_unrolled,
    unrolled,
)
from deqlab.networks import DnCNN
from deqlab.solvers import Anderson, Picard

ONE_GRAPH = [
    ImplicitGradient(Anderson(memory=5), tolerance=0.0, max_evaluations=10),
    JacobianFree(),
    NeumannSeries(5),
    Phantom(5, 0.5),
]


def name(rule) -> str:
    return type(rule).__name__


class Counted:
    """f(x) = 0.5 (y + R(x)), and how often it was called with and without recording."""

    def __init__(self, depth: int = 5, width: int = 16, pixels: int = 16) -> None:
        torch.manual_seed(0)
        self.denoiser = DnCNN(depth, width)
        for parameter in self.denoiser.parameters():
            # R neither explodes nor fades with its depth.
            torch.nn.init.normal_(parameter, std=0.4 / width**0.5)
        self.y = torch.randn(2, pixels, pixels, dtype=torch.complex64)
        self.recorded = self.silent = 0

    def __call__(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.recorded += 1
        else:
            self.silent += 1
        return 0.5 * (self.y + self.denoiser(x))

    def step(self, gradient, evaluations: int = 10, solver=Picard()) -> None:
        """Forward and backward of an equilibrium; tolerance 0 spends the whole budget."""
        value = equilibrium(
            self, torch.zeros_like(self.y), solver, gradient, 0.0, evaluations
        ).value
        value.abs().sum().backward()


def saved_bytes(step) -> int:
    """Bytes that `step`, forward and backward, keeps for the backward pass."""
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return total


@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
@pytest.mark.parametrize("gradient", ONE_GRAPH, ids=name)
def test_saved_bytes_do_not_grow_with_the_evaluations(gradient, solver) -> None:
    figures = {}
    for evaluations in (10, 100):
        f = Counted()
        figures[evaluations] = saved_bytes(lambda: f.step(gradient, evaluations, solver))
        # The whole budget is spent without recording; then one evaluation is recorded, and none
        # more in the backward pass.
        assert (f.silent, f.recorded) == (evaluations, 1)
        assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in f.denoiser.parameters())
    assert figures[100] <= 1.01 * figures[10]

    f = Counted()
    once = saved_bytes(lambda: f(torch.zeros_like(f.y).requires_grad_()).abs().sum().backward())
    assert figures[100] <= 1.01 * once


def test_the_count_of_living_bytes_counts(live_bytes) -> None:
    """The yardstick: ten tensors kept, ten made and dropped, views and operations in place for
    nothing.
    """

    def keep() -> list[Tensor]:
        return [torch.zeros(1000) + i for i in range(10)]

    def drop() -> None:
        a = torch.zeros(1000)
        for _ in range(10):
            a = a + 1
            a[10:].view(-1, 2).mul_(2)

    assert live_bytes(keep) == 4000 * 11
    assert live_bytes(drop) == 4000 * 2


@pytest.mark.parametrize("gradient", ONE_GRAPH, ids=name)
def test_the_backward_lives_in_one_graph_of_f(live_bytes, gradient) -> None:
    """Peak of a whole training step over that of one evaluation and its backward; two graphs would
    be 1.9 and more.
    """
    f = Counted()
    once = live_bytes(lambda: f(torch.zeros_like(f.y).requires_grad_()).abs().sum().backward())
    f.denoiser.zero_grad()
    whole = live_bytes(lambda: f.step(gradient))
    # Beyond the graph stand a handful of states of 2 channels, where a layer keeps 16.
    assert whole <= 1.5 * once


def test_at_full_size_the_history_is_small_change(live_bytes, bytes_left) -> None:
    """17 layers of 64 channels, two images of 128x128: six products, as a solve to 1e-3 takes, in
    1.16 graphs of f at the most.
    """
    f = Counted(17, 64, 128)
    graph = bytes_left(lambda: f(torch.zeros_like(f.y).requires_grad_()))
    assert (
        live_bytes(
            lambda: f.step(ImplicitGradient(tolerance=0.0, max_evaluations=6), evaluations=1)
        )
        <= 1.16 * graph
    )


def depth_profile(live_bytes, run) -> list[int]:
    """Peaks at 10 and at 40 evaluations of a step through `run(f, x0, k)`."""
    peaks = []
    for k in (10, 40):
        f = Counted()
        peaks.append(live_bytes(lambda: run(f, torch.zeros_like(f.y), k).abs().sum().backward()))
        assert all(p.grad.any() for p in f.denoiser.parameters())
    return peaks


def test_four_ways_to_pay_for_depth(live_bytes) -> None:
    """Nothing: linear. Checkpoints: as the root. Invertible: constant."""
    plain = depth_profile(live_bytes, unrolled)
    root = depth_profile(live_bytes, lambda f, x, k: unrolled(f, x, k, "sqrt"))
    inverse = depth_profile(live_bytes, lambda f, x, k: momentum_unrolled(f, x, k, 0.9))
    assert plain[1] > 3.5 * plain[0]
    assert 1.3 * root[0] < root[1] < 2.3 * root[0]
    assert inverse[1] <= 1.02 * inverse[0]
    assert inverse[1] < 0.3 * root[1] < 0.3 * 0.5 * plain[1]


def test_nothing_of_a_step_outlives_it() -> None:
    """The rule holds the graph of f, and the graph must not hold the rule: no cycle keeps it
    alive.
    """
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
