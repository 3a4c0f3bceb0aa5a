"""Three small equilibria in complex128, each with its exact gradient by dense linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.networks.border import to_channels, to_complex


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
        hidden = functional.leaky_relu(functional.conv2d(to_channels(x), self.first, padding=1), 0.1)
        return y + to_complex(functional.conv2d(hidden, self.second, padding=1))


def _contraction(n: int, rate: float) -> Tensor:
    M = torch.randn(n, n, dtype=torch.complex128)
    return M * rate / torch.linalg.matrix_norm(M, ord=2)


@dataclass
class Problem:
    """A map f(x, y), its inputs y and the weights g of a linear loss Re<g, x*>."""

    f: nn.Module
    y: Tensor
    g: Tensor

    def loss(self, x: Tensor) -> Tensor:
        return (self.g.conj() * x).real.sum()

    def variables(self) -> list[Tensor]:
        """What gradients are taken of: the parameters of f and the inputs."""
        return [*self.f.parameters(), self.y]

    def gradients(self, loss: Tensor) -> Tensor:
        """All gradients of `loss` as one real vector."""
        return flat(torch.autograd.grad(loss, self.variables()))

    def fixed_point(self) -> Tensor:
        """x* by plain iteration to rounding, detached."""
        with torch.no_grad():
            x = torch.zeros_like(self.y)
            for _ in range(400):
                x = self.f(x, self.y)
            assert float((self.f(x, self.y) - x).abs().max()) < 1e-13
        return x

    def jacobian(self) -> Tensor:
        """df/dx at x*, real, over the whole batch: (N, N), N twice the number of complex pixels."""
        x = self.fixed_point()

        def real_map(r: Tensor) -> Tensor:
            return torch.view_as_real(self.f(torch.view_as_complex(r.reshape(*x.shape, 2)), self.y)).flatten()

        return torch.autograd.functional.jacobian(real_map, torch.view_as_real(x).flatten())

    def exact(self) -> Tensor:
        """The gradient of the loss at the equilibrium: (df/dw)^T (I - J)^-T g, densely."""
        J, g = self.jacobian(), torch.view_as_real(self.g).flatten()
        u = torch.linalg.solve((torch.eye(len(J), dtype=J.dtype) - J).mT, g)
        output = self.f(self.fixed_point(), self.y)
        return flat(
            torch.autograd.grad(output, self.variables(), torch.view_as_complex(u.reshape(*self.g.shape, 2)))
        )


def flat(tensors) -> Tensor:
    return torch.cat([(torch.view_as_real(t) if t.is_complex() else t).flatten() for t in tensors])


MAPS = {
    "affine": (lambda: Affine(5), (5,)),
    "tanh": (lambda: Tanh(5), (5,)),
    "convolutional": (Convolutional, (3, 4)),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_problem(_seed: None) -> Callable[..., Problem]:
    def make(name: str, batch: int = 2) -> Problem:
        build, shape = MAPS[name]
        y, g = (torch.randn(batch, *shape, dtype=torch.complex128) for _ in range(2))
        return Problem(build(), y.requires_grad_(), g)

    return make


@pytest.fixture(params=list(MAPS))
def problem(request: pytest.FixtureRequest, make_problem) -> Problem:
    return make_problem(request.param)


@pytest.fixture
def assert_same_direction() -> Callable[[Tensor, Tensor], None]:
    """Cosine to 1e-10 and length to 1e-6: a wrong sign, conjugate or factor shows in one of them."""

    def check(found: Tensor, expected: Tensor) -> None:
        cosine = torch.dot(found, expected) / (found.norm() * expected.norm())
        assert float(cosine) >= 1 - 1e-10
        assert float(found.norm() / expected.norm()) == pytest.approx(1, abs=1e-6)

    return check
