"""An unrolled network whose backward pass reconstructs its activations: memory does not grow with
depth.

The momentum iteration v <- gamma v + (1 - gamma) (f(x) - x), x <- x + v can be run backwards,
although f itself has no inverse:

    x_t = x_(t+1) - v_(t+1),    v_t = (v_(t+1) - (1 - gamma) (f(x_t) - x_t)) / gamma.

M. E. Sander, P. Ablin, M. Blondel and G. Peyre, Momentum residual neural networks, ICML 2021,
section 3, with the residual f(x) - x in the place of their layer. The step backwards multiplies an
error in v by up to 1 / gamma: after k steps by up to gamma^-k.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.equilibrium.graph import detached
from deqlab.solvers import Solution
from deqlab.solvers.flat import State, StateT, flatten, parts, unflatten
from deqlab.solvers.protocol import AnyMap, StateMap

# What the reconstruction may lose to rounding, as a share of x.
DRIFT = 1e-6


def momentum_unrolled(f: StateMap[StateT], x0: StateT, k: int, momentum: float = 0.9) -> StateT:
    """x_k of the momentum iteration from x_0 = x0 and v_0 = 0, with its gradient in x0 and in what
    f depends on.

    f: State to State, and the same output for the same input (no dropout). momentum: gamma in (0,
    1); a fixed point of f is one of the iteration for every gamma. The graph keeps no activation of
    f: the backward pass walks from x_k to x_0 and evaluates f once more at each state, with one
        graph at a time. x and v are kept in double precision, whatever the dtype of
    f: in single precision the reconstruction would lose all digits after ln(1e7) / ln(1/gamma)
    steps. Raises InputError where gamma^-k leaves fewer than six digits even so; a DeqlabWarning
    where the walk ends more than 1e-4 from x_0.
    """
    _check(k, momentum)
    tape = _Tape(f, x0, momentum)
    x = flatten(x0).double()
    v = torch.zeros_like(x)
    for _ in range(k):
        residual = tape.evaluate(x) - x
        v = momentum * v + (1 - momentum) * residual
        x = x + v
    tape.finish(x.detach(), v.detach())
    return unflatten(x, x0)


@dataclass(frozen=True)
class Invertible:
    """dL/dw of k momentum steps from the solution, which counts as a constant: `Unrolled` in the
    memory of one step.

    The value is where the steps lead. A step is 1 - momentum of one of Unrolled, so more of them
    are needed for the same truth; and a large momentum swings: eigenvalues of J away from the real
    axis can make the iteration diverge where f itself contracts. A momentum near 0.5 is a good
    compromise, deep walks (k > 32) need more. For a network unrolled from its start call
    `momentum_unrolled` itself.
    """

    k: int = 10
    momentum: float = 0.5

    def __post_init__(self) -> None:
        _check(self.k, self.momentum)

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """x_k of the momentum iteration from x*, differentiable in the parameters of f."""
        return momentum_unrolled(f, detached(solution.value), self.k, self.momentum)


def _check(k: int, momentum: float) -> None:
    if k < 1:
        raise InputError(f"k: {k} given, at least 1 needed")
    if not 0 < momentum < 1:
        raise InputError(f"momentum: {momentum} given, a number between 0 and 1 needed")
    gain = DRIFT / torch.finfo(torch.float64).eps
    longest = math.floor(math.log(gain) / -math.log(momentum))
    if k > longest:
        raise InputError(
            f"k: {k} given, but momentum {momentum:g} can be run backwards for {longest} steps in"
            " double precision; fewer steps or a momentum of at least"
            f" {math.ceil(1000 * gain ** (-1 / k)) / 1000:g} needed"
        )


class _Tape:
    """The graph of f at every step without its tensors; they are made again, step by step, from the
    last state.

    autograd asks for the tensors that an operation saved by a handle (step, number). Since f at
    step t is reached only through everything that came after, one walk backwards serves a backward
    pass; a second pass over the same graph begins at the end again.
    """

    def __init__(self, f: AnyMap, like: State, momentum: float):
        self.f, self.momentum = f, momentum
        # Shapes and dtypes alone would do, but the start also tells how well the walk back has
        # gone.
        self.start = detached(like)
        self.tracked: list[bool] = []
        self.kinds: list[list[tuple]] = []
        start = flatten(self.start).double()
        self.end = self.x, self.v = start, torch.zeros_like(start)
        self.step = 0
        self.saved: dict[int, Tensor] = {}
        device = parts(like)[0].device.type
        self.device, self.autocast = (
            device,
            (torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)),
        )

    def evaluate(self, x: Tensor) -> Tensor:
        """f(x) for flat x in double precision, recorded without its tensors."""
        step = len(self.kinds)
        kinds: list[tuple] = []
        self.tracked.append(x.requires_grad)
        self.kinds.append(kinds)

        def pack(tensor: Tensor) -> tuple[int, int]:
            kinds.append((tensor.shape, tensor.dtype))
            return step, len(kinds) - 1

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda handle: self.again(*handle)):
            return self._flat_f(x)

    def finish(self, x: Tensor, v: Tensor) -> None:
        """The state after the last step, from which the walk back begins."""
        self.end = x, v
        self.step, self.x, self.v = len(self.kinds), x, v

    def again(self, step: int, number: int) -> Tensor:
        """The tensor that f saved as its `number`-th at `step`; each is handed out once, then
        forgotten.
        """
        if self.step < step or (self.step == step and number not in self.saved):
            self.step, (self.x, self.v) = len(self.kinds), self.end
        while self.step > step:
            self._back(record=self.step - 1 == step)
        return self.saved.pop(number)

    def _back(self, record: bool) -> None:
        """From (x_(t+1), v_(t+1)) to (x_t, v_t), keeping what f saves at x_t where `record`."""
        self.saved.clear()
        self.step -= 1
        x = self.x - self.v
        found: list[Tensor] = []

        def pack(tensor: Tensor) -> int:
            found.append(tensor.detach())
            return len(found) - 1

        dtype, enabled = self.autocast
        with (
            torch.set_grad_enabled(record),
            torch.autocast(self.device, dtype, enabled=enabled),
            torch.autograd.graph.saved_tensors_hooks(pack, found.__getitem__),
        ):
            image = self._flat_f(
                x.detach().requires_grad_(record and self.tracked[self.step])
            ).detach()
        if record:
            if [(tensor.shape, tensor.dtype) for tensor in found] != self.kinds[self.step]:
                raise InputError(
                    "f: it did other operations in the backward pass than before; it must do the"
                    " same every time"
                )
            self.saved = dict(enumerate(found))
        self.v = (self.v - (1 - self.momentum) * (image - x)) / self.momentum
        self.x = x
        if self.step == 0:
            self._judge()

    def _judge(self) -> None:
        start, end = flatten(self.start).double(), self.end[0]
        size = torch.linalg.vector_norm(start, dim=1) + torch.linalg.vector_norm(end, dim=1)
        size = size.clamp_min(torch.finfo(torch.float64).tiny)
        missed = float((torch.linalg.vector_norm(self.x - start, dim=1) / size).max())
        if not missed <= 100 * DRIFT:
            warnings.warn(
                f"momentum: the way back missed its start by {missed:.1g} of its size, and the"
                " gradient is as inexact; a larger momentum or fewer steps needed",
                DeqlabWarning,
                stacklevel=2,
            )

    def _flat_f(self, x: Tensor) -> Tensor:
        return flatten(self.f(unflatten(x, self.start))).double()
