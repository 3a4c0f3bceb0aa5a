"""Small equilibria in complex128, each with its exact gradient by dense linear algebra, and a count
of living bytes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deqlab.networks.border import to_channels, to_complex

State = Tensor | tuple[Tensor, ...]


class Affine(nn.Module):
    """x -> W x + U y: complex-linear, one matrix for all samples."""

    def __init__(self, n: int):
        super().__init__()
        self.W, self.U = (nn.Parameter(_contraction(n, rate)) for rate in (0.8, 1.0))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ self.W.mT + y @ self.U.mT


class Tanh(Affine):
    """tanh of the real and of the imaginary part: not complex-differentiable."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z = super().forward(x, y)
        return torch.complex(torch.tanh(z.real), torch.tanh(z.imag))


class Convolutional(nn.Module):
    """y + N(x) on complex images, N two convolutions with a kink between them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            nn.Parameter(0.16 * torch.randn(*shape)) for shape in ((4, 2, 3, 3), (2, 4, 3, 3))
        )
        self.double()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = functional.leaky_relu(
            functional.conv2d(to_channels(x), self.first, padding=1), 0.1
        )
        return y + to_complex(functional.conv2d(hidden, self.second, padding=1))


class Pair(nn.Module):
    """A state of two: complex (batch, 3) and real (batch, 4), each of which drives the other."""

    def __init__(self):
        super().__init__()
        self.W, self.U = (nn.Parameter(_contraction(3, rate)) for rate in (0.5, 1.0))
        self.V = nn.Parameter(0.15 * torch.randn(4, 6, dtype=torch.float64))
        self.B = nn.Parameter(0.15 * torch.randn(3, 4, dtype=torch.complex128))

    def forward(self, state: State, y: Tensor) -> State:
        x, u = state
        first = x @ self.W.mT + y @ self.U.mT + torch.sin(u).to(x.dtype) @ self.B.mT
        return first, torch.tanh(torch.view_as_real(x).flatten(1) @ self.V.mT + 0.3 * u)


def _contraction(n: int, rate: float) -> Tensor:
    M = torch.randn(n, n, dtype=torch.complex128)
    return M * rate / torch.linalg.matrix_norm(M, ord=2)


def rows(state: State) -> Tensor:
    """A state as real (batch, n): complex numbers are pairs, a tuple is one row. Written apart from
    the library's.
    """
    if isinstance(state, tuple):
        return torch.cat([rows(part) for part in state], 1)
    if state.is_complex():
        state = torch.stack((state.real, state.imag), -1)
    return state.reshape(len(state), -1)


def state_of(real: Tensor, like: State) -> State:
    """The inverse of `rows`."""
    if isinstance(like, tuple):
        pieces = real.split([rows(part).shape[1] for part in like], 1)
        return tuple(state_of(piece, part) for piece, part in zip(pieces, like))
    if not like.is_complex():
        return real.reshape(len(real), *like.shape[1:])
    pairs = real.reshape(len(real), *like.shape[1:], 2)
    return torch.complex(pairs[..., 0], pairs[..., 1])


@dataclass
class Problem:
    """A map f(x, y), its inputs y and the weights g of a linear loss Re<g, x*>."""

    f: nn.Module
    y: Tensor
    g: State

    def map(self, x: State) -> State:
        """f for these inputs."""
        return self.f(x, self.y)

    def start(self) -> State:
        """The state 0."""
        return state_of(torch.zeros_like(rows(self.g)), self.g)

    def loss(self, x: State) -> Tensor:
        """Re<g, x>."""
        return (rows(self.g) * rows(x)).sum()

    def variables(self) -> list[Tensor]:
        """What gradients are taken of: the parameters of f and the inputs."""
        return [*self.f.parameters(), self.y]

    def gradients(self, loss: Tensor) -> Tensor:
        """All gradients of `loss` as one real vector."""
        return flat(torch.autograd.grad(loss, self.variables(), retain_graph=True))

    def member(self, i: int) -> Problem:
        """One sample for itself."""
        return Problem(
            self.f,
            self.y.detach()[i : i + 1].requires_grad_(),
            state_of(rows(self.g)[i : i + 1], self.g),
        )

    @torch.no_grad()
    def fixed_point(self) -> State:
        """x* by plain iteration to rounding."""
        x = self.start()
        for _ in range(400):
            x = self.map(x)
        assert float((rows(self.map(x)) - rows(x)).abs().max()) < 1e-13
        return x

    def jacobians(self) -> Tensor:
        """df/dx at x* of every sample, real (batch, n, n)."""
        found = []
        for i, x in enumerate(rows(self.fixed_point())):
            alone = self.member(i)
            found.append(
                torch.autograd.functional.jacobian(
                    lambda r: rows(alone.map(state_of(r[None], alone.g)))[0], x
                )
            )
        return torch.stack(found)

    def adjoint(self) -> Tensor:
        """u = (I - J)^-T g of every sample, real (batch, n)."""
        J = self.jacobians()
        return torch.linalg.solve((torch.eye(J.shape[-1], dtype=J.dtype) - J).mT, rows(self.g))

    def pulled(self, u: Tensor) -> Tensor:
        """(df/dw)^T u at x*, as one real vector: u is real (batch, n)."""
        return self.gradients((rows(self.map(self.fixed_point())) * u).sum())

    def exact(self) -> Tensor:
        """The gradient of the loss at the equilibrium: (df/dw)^T (I - J)^-T g, densely."""
        return self.pulled(self.adjoint())


def flat(tensors) -> Tensor:
    return torch.cat([(torch.view_as_real(t) if t.is_complex() else t).flatten() for t in tensors])


MAPS = {
    "affine": (lambda: Affine(5), (5,)),
    "tanh": (lambda: Tanh(5), (5,)),
    "convolutional": (Convolutional, (3, 4)),
    "pair": (Pair, (3,)),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_problem(_seed: None) -> Callable[..., Problem]:
    def make(name: str, batch: int = 2) -> Problem:
        build, shape = MAPS[name]
        y, g = (torch.randn(batch, *shape, dtype=torch.complex128) for _ in range(2))
        if name == "pair":
            g = (g, torch.randn(batch, 4, dtype=torch.float64))
        return Problem(build(), y.requires_grad_(), g)

    return make


@pytest.fixture(params=list(MAPS))
def problem(request: pytest.FixtureRequest, make_problem) -> Problem:
    return make_problem(request.param)


@pytest.fixture
def as_rows() -> Callable[[State], Tensor]:
    return rows


@pytest.fixture
def as_state() -> Callable[[Tensor, State], State]:
    return state_of


@pytest.fixture
def assert_same_vector() -> Callable[[Tensor, Tensor], None]:
    """To 1e-6 of its length, and so to a cosine of 1 - 5e-13: no wrong sign, conjugate, factor or
    turn passes.
    """

    def check(found: Tensor, expected: Tensor) -> None:
        assert float((found - expected).norm()) <= 1e-6 * float(expected.norm())

    return check


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors made inside, now and at the most: what saved-tensor hooks cannot see is
    counted too.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {
            id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in before and id(storage) not in self.seen:
                    self._born(storage)
        return out

    def _born(self, storage) -> None:
        key, size = id(storage), storage.nbytes()
        self.seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)

        def gone() -> None:
            self.seen.discard(key)
            self.now -= size

        weakref.finalize(storage, gone)


@pytest.fixture
def live_bytes() -> Callable[[Callable], int]:
    """`live_bytes(step)`: the peak of what `step` keeps alive at one time."""

    def measure(step: Callable) -> int:
        with LiveBytes() as count:
            step()
        return count.peak

    return measure


@pytest.fixture
def bytes_left() -> Callable[[Callable], int]:
    """`bytes_left(f)`: what is alive of all that f() made, as long as its result is: for an image
    with a graph, the graph.
    """

    def measure(f: Callable) -> int:
        with LiveBytes() as count:
            result = f()
            now = count.now
        del result
        return now

    return measure
