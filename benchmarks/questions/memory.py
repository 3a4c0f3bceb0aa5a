"""How much does a training step keep for its backward pass, in graphs of f?"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from questions import backward, libraries, problems
from questions.methods import Backward

TITLE = "peak memory of a training step, over that of one evaluation of f with its backward"
FORWARD = 1e-2
NOTES = (
    (
        f"Forward from the zero-filled image to {FORWARD:g}. saved: bytes of the distinct storages"
        " that autograd has saved and not yet let go, parameters apart, at their highest; by"
        " saved-tensor hooks, which do not see what a method computes again in the backward pass,"
        " so they are left out for those that do. allocated: all bytes that torch held above the"
        " start, at their highest; by its profiler. It has the solver's history and the"
        " activations in flight too."
    ),
)


def measure(size: problems.Size) -> Iterator[dict]:
    """One row for a gradient, on each seeded denoiser; then one for each peer that cannot be
    had.
    """
    methods, absent = libraries.backwards(backward.TOLERANCE, backward.BUDGET)
    for depth in size.depths:
        yield from _on(problems.seeded(*depth, size.pixels), methods)
    yield from ({"library": peer, "method": why} for peer, why in absent.items())


def _on(problem: problems.Problem, methods: list[Backward]) -> Iterator[dict]:
    target = torch.roll(problem.x0, 1, 0)

    def once() -> None:
        backward.loss_of(problem.f(problem.x0.clone().requires_grad_()), target).backward()

    saved, allocated = saved_bytes(once, problem.parameters), allocated_bytes(once)
    for method in methods:

        def step(method=method) -> None:
            value = method.attach(problem.f, problem.x0, FORWARD, backward.Outer(target))
            backward.loss_of(value, target).backward()

        row = {"problem": problem.name, "library": method.library, "method": method.method}
        # Checkpoints and the invertible twin bring saved-tensor hooks of their own.
        if not method.recomputes:
            row["saved"] = saved_bytes(step, problem.parameters) / saved
        yield row | {"allocated": allocated_bytes(step) / allocated}


def cells(row: dict) -> dict:
    """The row as it is printed."""
    return row


class _Live:
    """Distinct saved storages by their address, with how often each is held."""

    def __init__(self, ignored: list[Tensor]):
        self.ignored = {tensor.untyped_storage().data_ptr() for tensor in ignored}
        self.held: dict[int, int] = {}
        self.bytes = self.peak = 0

    def hold(self, address: int, size: int) -> None:
        if address in self.ignored:
            return
        self.held[address] = self.held.get(address, 0) + 1
        if self.held[address] == 1:
            self.bytes += size
            self.peak = max(self.peak, self.bytes)

    def release(self, address: int, size: int) -> None:
        if address in self.ignored:
            return
        self.held[address] -= 1
        if not self.held[address]:
            del self.held[address]
            self.bytes -= size


class _Entry:
    """One saved tensor, entered in the count for as long as autograd keeps it."""

    def __init__(self, tensor: Tensor, live: _Live):
        storage = tensor.untyped_storage()
        # Detached: an output that a node saves knows that node, and the two would keep each other
        # alive.
        self.tensor, self.live, self.key = (
            tensor.detach(),
            live,
            (storage.data_ptr(), storage.nbytes()),
        )
        live.hold(*self.key)

    def __del__(self) -> None:
        self.live.release(*self.key)


def saved_bytes(step: Callable[[], None], parameters: list[Tensor]) -> int:
    """What autograd has saved at most during a step, as `NOTES` say; not of one with checkpoints,
    whose own hooks stand before these.
    """
    live = _Live(parameters)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: _Entry(tensor, live), lambda entry: entry.tensor
    ):
        step()
    return live.peak


def allocated_bytes(step: Callable[[], None]) -> int:
    """All that torch holds during a step above its start, at most."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"
    )
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak
