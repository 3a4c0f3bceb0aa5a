"""The two series against powers of a dense Jacobian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import (
    EquilibriumLayer,
    JacobianFree,
    NeumannSeries,
    Phantom,
    Unrolled,
    neumann_series,
    phantom_series,
)


@pytest.fixture
def matrix() -> Tensor:
    """J of three samples, not normal: a transpose forgotten shows."""
    return torch.triu(torch.randn(3, 5, 5, dtype=torch.float64)) * 0.3


class Counted:
    """u -> J^T u and how often it was asked."""

    def __init__(self, J: Tensor):
        self.J, self.products = J, 0

    def __call__(self, u: Tensor) -> Tensor:
        self.products += 1
        return torch.einsum("bij,bi->bj", self.J, u)


def powers(M: Tensor, g: Tensor, terms: int) -> Tensor:
    """The sum of M^i g, i below `terms`."""
    return sum((torch.linalg.matrix_power(M, i) @ g[..., None])[..., 0] for i in range(terms))


@pytest.mark.parametrize("k", [0, 1, 4])
def test_the_series_is_its_sum(matrix, k: int) -> None:
    g, transpose = torch.randn(3, 5, dtype=torch.float64), Counted(matrix)
    assert_close(neumann_series(transpose, g, k), powers(matrix.mT, g, k + 1))
    assert transpose.products == k


@pytest.mark.parametrize("damping", [0.3, 1.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_phantom_gradient_is_its_sum(matrix, k: int, damping: float) -> None:
    g, transpose = torch.randn(3, 5, dtype=torch.float64), Counted(matrix)
    B = damping * matrix + (1 - damping) * torch.eye(5, dtype=torch.float64)
    assert_close(phantom_series(transpose, g, k, damping), damping * powers(B.mT, g, k))
    assert transpose.products == k - 1


def test_damping_converges_where_the_plain_series_does_not() -> None:
    """Eigenvalues below -1: I - J is fine, the powers of J are not."""
    J = torch.diag(torch.tensor([-1.5, -3.0, 0.5], dtype=torch.float64))[None]
    g = torch.ones(1, 3, dtype=torch.float64)
    expected = g / (1 - torch.diagonal(J[0]))
    assert_close(phantom_series(Counted(J), g, 200, 0.3), expected)
    assert float(neumann_series(Counted(J), g, 200).abs().max()) > 1e6


@pytest.mark.parametrize("k", [1, 3])
def test_a_rule_is_its_series_at_the_fixed_point(problem, as_rows, k: int) -> None:
    J, g = problem.jacobians(), as_rows(problem.g)
    B = 0.4 * J + 0.6 * torch.eye(J.shape[-1], dtype=J.dtype)
    for rule, u in (
        (NeumannSeries(k), powers(J.mT, g, k + 1)),
        (Phantom(k, 0.4), 0.4 * powers(B.mT, g, k)),
        (Unrolled(k), powers(J.mT, g, k)),
    ):
        x = EquilibriumLayer(problem.f, gradient=rule, tolerance=1e-13, max_evaluations=300)(
            problem.start(), problem.y
        )
        assert_close(problem.gradients(problem.loss(x)), problem.pulled(u), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("damping", [0.3, 1.0])
def test_the_phantom_gradient_is_that_of_damped_steps(
    problem, as_rows, as_state, damping: float
) -> None:
    """The two forms of the source, by a series and by unrolling, agree at a fixed point."""
    start = problem.fixed_point()
    layer = EquilibriumLayer(
        problem.f, gradient=Phantom(4, damping), tolerance=1e-13, max_evaluations=300
    )
    found = problem.gradients(problem.loss(layer(problem.start(), problem.y)))
    x = start
    for _ in range(4):
        x = as_state(damping * as_rows(problem.map(x)) + (1 - damping) * as_rows(x), start)
    assert_close(found, problem.gradients(problem.loss(x)), rtol=1e-8, atol=1e-8)


def test_the_shortest_series_are_jacobian_free(problem) -> None:
    found = []
    for rule in (JacobianFree(), NeumannSeries(0), Phantom(1, 1.0), Unrolled(1)):
        x = EquilibriumLayer(problem.f, gradient=rule)(problem.start(), problem.y)
        found.append(problem.gradients(problem.loss(x)))
    for other in found[1:]:
        assert_close(other, found[0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NeumannSeries(-1), "k: -1 given, at least 0"),
        (lambda: Phantom(0), "k: 0 given, at least 1"),
        (lambda: Phantom(2, 0.0), "damping: 0.0 given"),
        (lambda: Phantom(2, 1.5), "damping: 1.5 given"),
    ],
)
def test_bad_choices_are_named(build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
