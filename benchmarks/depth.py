"""What depth costs in training: time and memory of a step of unrolled networks, with and without
checkpoints, beside those of the equilibrium at as many evaluations.

MoDL and the equilibrium have the same denoiser, so the same parameters at every depth. The widths
of the others are those that come nearest to that number: networks whose steps have weights of their
own are the narrower the deeper they are.
"""

import argparse
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import torch
from questions.memory import allocated_bytes, saved_bytes
from timing import keep_freed_memory, ratios
from torch import Tensor

from deqlab.core.text_table import table
from deqlab.equilibrium import ImplicitGradient, JacobianFree
from deqlab.equilibrium.protocol import GradientRule
from deqlab.losses import LogErrorLoss
from deqlab.networks.dncnn import DnCNNOptions
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.recon.base import Model
from deqlab.recon.deq.base import SOLVER, EquilibriumReconstructor
from deqlab.recon.unrolled.base import Unrolled
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.masks import RandomMask

EQUILIBRIUM = "de-grad-measured"
WIDEST = 256
# Of each network, the options that a width stands for.
OF_WIDTH: dict[str, Callable[[int], dict[str, Any]]] = {
    "cascade-net": lambda w: {"denoiser": DnCNNOptions(depth=6, width=w, bias=True)},
    "pdnet": lambda w: {"width": w},
    "xpdnet": lambda w: {
        "network": {"name": "multi-scale", "widths": (w, 3 * w // 2, 2 * w)},
        "refine": None,
    },
    "kiki-net": lambda w: {"width": w, "depth": 8},
    "rim": lambda w: {"width": w},
}
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """side, coils: of the measured image. widths: of the denoiser that MoDL and the equilibrium
    share, which decides the number of parameters. repeats: of what is timed.
    """

    side: int = 128
    coils: int = 4
    widths: tuple[int, ...] = (16, 24, 32)
    depths: tuple[int, ...] = (5, 10, 20)
    repeats: int = 3


QUICK = Size(32, 2, (4, 6), (2, 4), 1)


@dataclass(frozen=True)
class Scan:
    """An image of noise, (1, y, x), and its measurement along lines at 4x."""

    image: Tensor
    kspace: Tensor
    A: CartesianOperator

    @staticmethod
    def of(size: Size) -> "Scan":
        """The scan, always the same."""
        generator = torch.Generator().manual_seed(0)
        shape = (size.side, size.side)
        image = torch.randn(1, *shape, generator=generator, dtype=torch.complex64)
        mask = RandomMask(4.0, 0.08).sample(size.side, 0)
        A = CartesianOperator(mask, simulate_coil_maps(size.coils, shape, 0))
        return Scan(image, A(image), A)


def step(model: Model, scan: Scan) -> None:
    """A forward and a backward pass; the gradients are let go."""
    model.zero_grad()
    LogErrorLoss()(model(scan.kspace, scan.A), scan.image).backward()


def parameters(model: Model) -> int:
    """Their number."""
    return sum(parameter.numel() for parameter in model.parameters())


def shared(size: Size) -> dict[str, Any]:
    """The denoiser of MoDL and of the equilibrium, as an option."""
    return {"denoiser": {"name": "demodulated-unet", "widths": size.widths}}


def of_about(count: int, name: str, depth: int) -> Model:
    """The network of `OF_WIDTH` whose number of parameters is nearest to `count`."""

    def made(width: int) -> Any:
        return create(name, iterations=depth, **OF_WIDTH[name](width))

    widths = range(1, WIDEST)
    at = bisect_left(widths, count, key=lambda width: parameters(made(width)))
    near = [made(widths[index]) for index in {max(at - 1, 0), min(at, len(widths) - 1)}]
    found: Model = min(near, key=lambda model: abs(parameters(model) - count))
    return found


def equilibrium(size: Size, depth: int, rule: GradientRule) -> EquilibriumReconstructor:
    """The equilibrium, solved with exactly so many evaluations."""
    model = create(EQUILIBRIUM, **shared(size))
    assert isinstance(model, EquilibriumReconstructor)
    model.tolerance, model.max_evaluations, model.gradient = 0.0, depth, rule
    return model


def methods(size: Size, depth: int) -> Iterator[tuple[str, Model]]:
    """Names and models of one depth; the first is what others are compared with."""
    yield f"{EQUILIBRIUM}, Jacobian-free", equilibrium(size, depth, JacobianFree())
    implicit = ImplicitGradient(SOLVER, 0.0, depth)
    yield f"{EQUILIBRIUM}, implicit", equilibrium(size, depth, implicit)
    modl = create("modl", iterations=depth, **shared(size))
    assert isinstance(modl, Unrolled)
    networks = {"modl": modl}
    networks |= {name: of_about(parameters(modl), name, depth) for name in OF_WIDTH}
    for name, model in networks.items():
        yield name, model
    for name, model in networks.items():
        model.checkpointing = True
        yield f"{name}, checkpoints", model


@dataclass(frozen=True)
class Cost:
    """Of a training step. time: over that of the equilibrium, Jacobian-free. saved: bytes, None
    where checkpoints hide them. allocated: bytes.
    """

    parameters: int
    time: float
    saved: int | None
    allocated: int


def costs(size: Size, depth: int) -> Iterator[tuple[str, Cost]]:
    """Those of every method at one depth."""
    scan, reference = Scan.of(size), None
    for name, model in methods(size, depth):
        model.train()
        once = partial(step, model, scan)
        reference = reference or once
        time = 1.0
        if once is not reference:
            time = ratios(reference, once, size.repeats, 1, process_time)["ratio"]
        hidden = isinstance(model, Unrolled) and model.checkpointing
        saved = None if hidden else saved_bytes(once, list(model.parameters()))
        yield name, Cost(parameters(model), time, saved, allocated_bytes(once))


def report(found: dict[str, list[Cost]], depths: tuple[int, ...]) -> str:
    """Time and memory of all methods, over the first one's and in MiB."""
    first = next(iter(found.values()))
    head = ["method", "parameters"]
    for what in ("time", "allocated", "saved"):
        head += [f"{what}, {depth}" for depth in depths]
    rows = [head]
    for name, own in found.items():
        counts = dict.fromkeys(f"{cost.parameters / 1000:.0f}k" for cost in own)
        cells = [name, ", ".join(counts)]
        cells += [f"{cost.time:.2f}" for cost in own]
        cells += [of_first(cost.allocated, one.allocated) for cost, one in zip(own, first)]
        cells += [of_first(cost.saved, one.saved) for cost, one in zip(own, first)]
        rows.append(cells)
    return table(rows)


def of_first(value: int | None, first: int | None) -> str:
    """As 96 (4.1): MiB, and how many times the first one's."""
    if value is None or not first:
        return "-"
    return f"{value / MIB:.0f} ({value / first:.2f})"


def main() -> None:
    """Measures all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depths", nargs="+", type=int, help="(default: 5 10 20)")
    parser.add_argument(
        "--widths", nargs=3, type=int, help="of the denoiser (default: 16 24 32; trained: 48 64 80)"
    )
    parser.add_argument("--repeats", type=int, help="of what is timed (default: 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="tiny: the figures mean little")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()
    usual = QUICK if chosen.quick else Size()
    given = {name: getattr(chosen, name) for name in ("depths", "widths", "repeats")}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if np.min(value) < 1:
            parser.error(f"--{name}: {value} given, 1 or more needed")
    size = replace(usual, **given)
    depths = tuple(size.depths)
    found: dict[str, list[Cost]] = {}
    for depth in depths:
        torch.manual_seed(0)
        for name, cost in costs(size, depth):
            found.setdefault(name, []).append(cost)
            print(f"{depth}: {name}: {cost}", flush=True)
    print(f"\n{report(found, depths)}")
    print(
        f"   A forward and a backward pass, {size.side}x{size.side}, {size.coils} coils. time: the"
        " processor's, over that of the first row, the median.\n   allocated: all that torch holds"
        " above the start, at most, in MiB, and in brackets over the first row's.\n   saved: what"
        " autograd keeps for the backward pass, parameters apart. implicit: as many products as"
        " evaluations."
    )


if __name__ == "__main__":
    main()
