"""The shared inverse against dense matrices: exact where it is, Jacobian-free where it misleads,
refined by products.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.equilibrium import SHINE, EquilibriumLayer, JacobianFree, equilibrium, shared_inverse
from deqlab.equilibrium.shine import refined
from deqlab.solvers import LBFGS, AdjointBroyden, Anderson, Broyden, LowRankInverse, Picard, solve


def low_rank(H: Tensor) -> LowRankInverse:
    """A dense H (batch, n, n) as I + L^T C R, with L = C = I."""
    eye = torch.eye(H.shape[-1], dtype=H.dtype).expand_as(H)
    return LowRankInverse(eye, eye, H - eye, torch.full((len(H),), H.shape[-1]))


def inverses(problem) -> Tensor:
    """(I - J)^-1 of every sample."""
    J = problem.jacobians()
    return torch.linalg.inv(torch.eye(J.shape[-1], dtype=J.dtype) - J)


def gradient(problem, rule, H: Tensor) -> Tensor:
    """What a rule makes of a solution whose solver had learned H."""
    solution = solve(problem.map, problem.start(), tolerance=1e-13, max_evaluations=300)
    return problem.gradients(
        problem.loss(rule.attach(problem.map, replace(solution, inverse=low_rank(H))))
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["affine", "tanh", "convolutional", "pair"])
def test_exact_where_the_inverse_is(
    make_problem, assert_same_vector, kind: str, batch: int
) -> None:
    problem = make_problem(kind, batch)
    assert_same_vector(
        gradient(problem, SHINE(fallback=math.inf), inverses(problem)), problem.exact()
    )


def test_any_inverse_enters_transposed(problem, as_rows) -> None:
    """(df/dw)^T H^T g, for an H that is far from symmetric."""
    J = problem.jacobians()
    H = torch.eye(J.shape[-1], dtype=J.dtype) + torch.triu(torch.randn_like(J))
    u = torch.einsum("bij,bi->bj", H, as_rows(problem.g))
    assert_close(
        gradient(problem, SHINE(fallback=math.inf), H), problem.pulled(u), rtol=1e-8, atol=1e-8
    )


def dense(inverse: LowRankInverse) -> Tensor:
    """H (batch, n, n), column by column, from its products on the tangent side."""
    batch, _, n = inverse.left.shape
    columns = torch.eye(n, dtype=inverse.left.dtype)
    return torch.stack([inverse.apply(column.expand(batch, n)) for column in columns], -1)


@pytest.mark.parametrize("solver", [Broyden(), Broyden(memory=3), AdjointBroyden()], ids=repr)
def test_a_solver_and_its_inverse(problem, as_rows, solver) -> None:
    """The inverse that a solver ends with, whole: no sample of another, nothing transposed."""
    layer = EquilibriumLayer(
        problem.f, solver, SHINE(fallback=math.inf), tolerance=torch.tensor([1e-12, 1e-8])
    )
    x = layer(problem.start(), problem.y)
    seen = dense(layer.solution.inverse)
    u = torch.einsum("bij,bi->bj", seen, as_rows(problem.g))
    assert_close(problem.gradients(problem.loss(x)), problem.pulled(u), rtol=1e-6, atol=1e-6)
    identity = torch.eye(seen.shape[-1], dtype=seen.dtype)
    assert float((seen - identity).abs().amax((1, 2)).min()) > 0.05


def test_exact_where_broyden_ends_with_the_exact_inverse(assert_same_vector) -> None:
    """J = r q q^T and a start from which all steps go along q: one correction says all; other r for
    each sample.
    """
    q = torch.randn(6, dtype=torch.float64)
    q /= q.norm()
    r = torch.tensor([[0.7], [-0.4], [0.9]], dtype=torch.float64).requires_grad_()
    b, g = (torch.randn(3, 6, dtype=torch.float64) for _ in range(2))
    b.requires_grad_()
    solution = equilibrium(
        lambda x: r * (x @ q)[:, None] * q + b,
        b.detach(),
        Broyden(),
        SHINE(fallback=math.inf),
        tolerance=1e-14,
    )
    found = torch.autograd.grad((g * solution.value).sum(), (b, r))
    J = r.detach()[:, :, None] * torch.outer(q, q)
    u = torch.linalg.solve((torch.eye(6, dtype=torch.float64) - J).mT, g)
    slope = (u @ q)[:, None] * (solution.value.detach() @ q)[:, None]
    assert_same_vector(
        torch.cat((found[0].flatten(), found[1].flatten())),
        torch.cat((u.flatten(), slope.flatten())),
    )


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_exact_on_affine_maps_with_adjoint_broyden(
    make_problem, assert_same_vector, batch: int
) -> None:
    """It has learned every direction when it stops, and J is the same everywhere: no inverse is
    handed in here.
    """
    problem = make_problem("affine", batch)
    layer = EquilibriumLayer(problem.f, AdjointBroyden(), SHINE(fallback=math.inf), 1e-13)
    x = layer(problem.start(), problem.y)
    assert_same_vector(problem.gradients(problem.loss(x)), problem.exact())


def test_near_on_symmetric_maps_with_lbfgs() -> None:
    """Eigenvalues of J from -0.9 to 0.9: within two degrees of the truth, where Jacobian-free is 30
    degrees off and more.
    """
    Q = torch.linalg.qr(torch.randn(3, 8, 8, dtype=torch.float64))[0]
    J = Q @ torch.diag(torch.linspace(-0.9, 0.9, 8, dtype=torch.float64)) @ Q.mT
    b, g = (torch.randn(3, 8, dtype=torch.float64) for _ in range(2))
    b.requires_grad_()
    solution = equilibrium(
        lambda x: torch.einsum("bij,bj->bi", J, x) + b,
        b.detach() * 0,
        LBFGS(),
        SHINE(fallback=math.inf),
        1e-12,
        100,
    )
    found = torch.autograd.grad((g * solution.value).sum(), b)[0]
    exact = torch.linalg.solve(torch.eye(8, dtype=torch.float64) - J, g)
    assert float(torch.cosine_similarity(found, exact).min()) > math.cos(math.radians(2))
    assert float(torch.cosine_similarity(g, exact).max()) < math.cos(math.radians(30))


@pytest.mark.parametrize("refine", [0, 2])
def test_samples_have_their_own_gradients(make_problem, refine: int) -> None:
    problem, rule = make_problem("tanh", 3), SHINE(fallback=math.inf, refine=refine)
    x = EquilibriumLayer(problem.f, Broyden(), rule, 1e-8)(problem.start(), problem.y)
    together = torch.autograd.grad(problem.loss(x), problem.y)[0]
    for member in range(3):
        alone = problem.member(member)
        x = EquilibriumLayer(alone.f, Broyden(), rule, 1e-8)(alone.start(), alone.y)
        assert_close(
            together[member],
            torch.autograd.grad(alone.loss(x), alone.y)[0][0],
            rtol=1e-6,
            atol=1e-6,
        )


def test_a_second_derivative_and_two_calls(make_problem) -> None:
    """The laws of the other rules hold here too: each call keeps its own inverse."""
    problem = make_problem("tanh")
    layer = EquilibriumLayer(problem.f, Broyden(), SHINE(fallback=math.inf), 1e-10)
    apart = [
        problem.gradients(problem.loss(layer(problem.start(), a * problem.y))) for a in (1.0, 0.3)
    ]
    first, second = (layer(problem.start(), a * problem.y) for a in (1.0, 0.3))
    assert_close(problem.gradients(problem.loss(first) + problem.loss(second)), apart[0] + apart[1])
    with pytest.raises(InputError, match="create_graph"):
        torch.autograd.grad(problem.loss(first).square(), problem.y, create_graph=True)


def test_a_sample_falls_back_where_the_inverse_blows_it_up(problem, as_rows) -> None:
    """Each sample for itself, at the ratio that was asked for."""
    H, g, seen = inverses(problem), as_rows(problem.g), []
    H[0] *= 5 / float(torch.linalg.vector_norm(H[0].mT @ g[0]) / g[0].norm())
    H[1] *= 1.2 / float(torch.linalg.vector_norm(H[1].mT @ g[1]) / g[1].norm())
    u = torch.stack((g[0], H[1].mT @ g[1]))
    assert_close(
        gradient(problem, SHINE(observe=seen.append), H), problem.pulled(u), rtol=1e-8, atol=1e-8
    )
    assert seen[0].tolist() == [True, False]
    u = torch.stack((H[0].mT @ g[0], H[1].mT @ g[1]))
    assert_close(
        gradient(problem, SHINE(fallback=5.01), H), problem.pulled(u), rtol=1e-8, atol=1e-8
    )


def test_the_border_of_the_fallback() -> None:
    g = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    for factor, falls in ((1.29, False), (1.31, True), (math.nan, True), (math.inf, True)):
        u, fell_back = shared_inverse(lambda v: factor * v, g, 1.3)
        assert fell_back.tolist() == [falls]
        assert_close(u, g if falls else factor * g)


@pytest.mark.parametrize("quality", [0.0, 0.7], ids=["identity", "rough"])
def test_refinement_is_the_best_of_its_span(problem, as_rows, quality: float) -> None:
    """Against dense least squares over the preconditioned Krylov space."""
    J, g = problem.jacobians(), as_rows(problem.g)
    eye = torch.eye(J.shape[-1], dtype=J.dtype)
    H = eye + quality * (torch.linalg.inv(eye - J) - eye)
    products = []

    def transpose(u: Tensor) -> Tensor:
        products.append(1)
        return torch.einsum("bij,bi->bj", J, u)

    def inverse(v: Tensor) -> Tensor:
        return torch.einsum("bij,bi->bj", H, v)

    for k in (1, 2, 4):
        products.clear()
        u = refined(transpose, inverse, g, inverse(g), k)
        assert len(products) == k
        for i in range(len(g)):
            M, P = (eye - J[i]).mT, H[i].mT
            space = torch.stack(
                [torch.linalg.matrix_power(P @ M, j) @ P @ g[i] for j in range(k)], 1
            )
            best = space @ torch.linalg.lstsq(M @ space, g[i][:, None]).solution
            assert_close(u[i], best[:, 0], rtol=1e-8, atol=1e-10)


def test_refinement_ends_in_the_exact_gradient(problem, assert_same_vector, as_rows) -> None:
    """As many products as unknowns solve the system, whatever H, from a fallback too; further ones
    do no harm.
    """
    J = problem.jacobians()
    H = torch.eye(J.shape[-1], dtype=J.dtype) + 0.05 * torch.randn_like(J)
    H[0] *= 10
    for k in (J.shape[-1], J.shape[-1] + 3):
        assert_same_vector(gradient(problem, SHINE(refine=k), H), problem.exact())


def test_each_product_brings_it_nearer(make_problem) -> None:
    problem = make_problem("tanh", 3)
    H = torch.eye(10, dtype=torch.float64).expand(3, 10, 10)
    errors = [
        float(
            (gradient(problem, SHINE(refine=k), H) - problem.exact()).norm()
            / problem.exact().norm()
        )
        for k in (0, 2, 4, 6)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.05 * errors[0]


def test_the_identity_is_jacobian_free(problem) -> None:
    J = problem.jacobians()
    x = EquilibriumLayer(problem.f, gradient=JacobianFree(), tolerance=1e-13, max_evaluations=300)(
        problem.start(), problem.y
    )
    found = gradient(problem, SHINE(), torch.eye(J.shape[-1], dtype=J.dtype).expand_as(J))
    assert_close(found, problem.gradients(problem.loss(x)))


def test_a_zero_cotangent_is_refined_to_zero(make_problem, as_rows, as_state) -> None:
    problem = make_problem("tanh", 2)
    H, g = inverses(problem), as_rows(problem.g).clone()
    g[0] = 0
    problem = replace(problem, g=as_state(g, problem.g))
    assert_close(gradient(problem, SHINE(math.inf, refine=3), H), problem.exact())


@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
def test_a_solver_without_inverse_is_named(solver) -> None:
    with pytest.raises(InputError, match="Broyden, AdjointBroyden or LBFGS"):
        equilibrium(lambda x: 0.5 * x + 1, torch.zeros(2, 3), solver, SHINE())


def test_bad_choices_are_named() -> None:
    with pytest.raises(InputError, match="fallback: 0.0 given"):
        SHINE(fallback=0.0)
    with pytest.raises(InputError, match="refine: -1 given"):
        SHINE(refine=-1)
