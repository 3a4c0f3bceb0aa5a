"""What a problem says of its derivatives is what its energy and its losses have, by automatic
differentiation.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.solvers import solve
from deqlab.theory.bilevel import datasets
from deqlab.theory.bilevel.logistic import Split
from deqlab.theory.bilevel.problem import DescentMap, Problem
from deqlab.theory.bilevel.reconstruction import Smoothing, adjoint_differences, differences


def point(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """theta, x and a direction, none of them special."""
    torch.manual_seed(1)
    x = problem.start()
    return (
        problem.theta0 - 1 + 0.3 * torch.randn_like(problem.theta0),
        x + torch.randn_like(x),
        torch.randn_like(x),
    )


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.conj() * b).real.sum()


def test_gradient_is_that_of_the_energy(problem: Problem) -> None:
    theta, x, _ = point(problem)
    x.requires_grad_()
    expected = torch.autograd.grad(problem.energy(theta, x), x)[0]
    assert_close(problem.gradient(theta, x.detach()), expected)


def test_hessian_is_the_derivative_of_the_gradient(problem: Problem) -> None:
    theta, x, v = point(problem)
    product = problem.hessian(theta, x)(v)
    h = 1e-5
    assert_close(
        product,
        (problem.gradient(theta, x + h * v) - problem.gradient(theta, x - h * v)) / (2 * h),
        rtol=1e-7,
        atol=1e-8,
    )
    w = torch.randn_like(v)
    assert_close(inner(w, product), inner(problem.hessian(theta, x)(w), v))


def test_cross_derivative_is_that_of_the_gradient_in_theta(problem: Problem) -> None:
    theta, x, q = point(problem)
    h = 1e-5
    moves = h * torch.eye(len(theta), dtype=theta.dtype)
    expected = [
        inner(problem.gradient(theta + move, x) - problem.gradient(theta - move, x), q) / (2 * h)
        for move in moves
    ]
    assert_close(problem.cross(theta, x, q), torch.stack(expected), rtol=1e-7, atol=1e-9)


def test_no_curvature_exceeds_the_bound(problem: Problem, dense_hessian) -> None:
    """At the start of the logistic problem and at a flat image the bound is nearly met: a step from
    it is not needlessly short.
    """
    theta = problem.theta0 - 1
    x = torch.zeros_like(problem.start())
    largest = float(torch.linalg.eigvalsh(dense_hessian(problem, theta, x))[-1])
    assert 0.75 * problem.bound(theta) < largest <= problem.bound(theta)


def test_validation_gradient_is_that_of_the_loss(problem: Problem) -> None:
    _, x, v = point(problem)
    h = 1e-5
    slope = (problem.validation(x + h * v)[0] - problem.validation(x - h * v)[0]) / (2 * h)
    assert inner(problem.validation(x)[1], v) == pytest.approx(slope, rel=1e-7)


def test_sparse_features_are_the_same_problem(logistic) -> None:
    dense, sparse = logistic(), logistic(sparse=True)
    theta, x, v = point(dense)
    assert_close(sparse.gradient(theta, x), dense.gradient(theta, x))
    assert_close(sparse.hessian(theta, x)(v), dense.hessian(theta, x)(v))
    assert sparse.bound(theta) == pytest.approx(dense.bound(theta))
    assert sparse.test(theta, x) == pytest.approx(dense.test(theta, x))


def test_differences_and_their_adjoint() -> None:
    x, p = (
        torch.randn(1, 4, 5, dtype=torch.complex128),
        torch.randn(1, 2, 4, 5, dtype=torch.complex128),
    )
    assert_close(
        torch.vdot(p.flatten(), differences(x).flatten()),
        torch.vdot(adjoint_differences(p).flatten(), x.flatten()),
    )


def test_held_out_error_is_that_of_the_solved_slice(slice_of_noise) -> None:
    """The same slice in both places: the test loss is the validation loss of the solution."""
    problem = Smoothing(slice_of_noise(0), slice_of_noise(0), rounding=0.3)
    theta = torch.tensor([-2.0], dtype=torch.float64)
    x = solve(
        DescentMap(problem, theta), problem.start(), tolerance=1e-8, max_evaluations=500
    ).value
    assert problem.test(theta, x) == pytest.approx(problem.validation(x)[0], rel=1e-3)


@pytest.mark.parametrize("count", [9, 10, 11])
def test_thirds_are_equal_and_disjoint(count: int) -> None:
    parts = datasets.thirds(count, seed=3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [part.tolist() for part in parts] == [
        part.tolist() for part in datasets.thirds(count, seed=3)
    ]
    assert [part.tolist() for part in parts] != [
        part.tolist() for part in datasets.thirds(count, seed=4)
    ]


def test_only_the_training_third_sets_the_units() -> None:
    problem = datasets.breast_cancer(0)
    assert [len(split.labels) for split in (problem.train, problem.validate, problem.held_out)] == [
        190,
        190,
        189,
    ]
    measured = problem.train.X[:, :-1]
    assert_close(measured.mean(0), torch.zeros(30, dtype=torch.float64), rtol=0, atol=1e-12)
    assert_close(measured.std(0, correction=0), torch.ones(30, dtype=torch.float64))
    assert problem.validate.X[:, :-1].mean(0).abs().max() > 1e-2


def test_texts_have_the_shape_of_newsgroups() -> None:
    X, labels = datasets.texts(documents=120, words=2000)
    assert_close(torch.from_numpy((X * X).sum(axis=1)), torch.ones(120, dtype=torch.float64))
    held = np.sort(np.bincount(X.indices, minlength=2000))
    # A few words in most texts, most words in a few: Zipf.
    assert held[-5:].min() > 60 and np.median(held) < 10
    assert 0.35 < (labels == 1).mean() < 0.65 and 40 < X.nnz / 120 < 200


@pytest.mark.parametrize(
    ("make", "culprit"),
    [
        (lambda *_: Split(np.ones((3, 2)), np.array([1, -1])), "labels: 2 given for 3 samples"),
        (lambda *_: Split(np.ones((2, 2)), np.array([0, 1])), "labels: .* -1 and \\+1 needed"),
        (lambda logistic, _: logistic(groups=torch.tensor([0, 1])), "groups: shape"),
        (
            lambda _, slice_of_noise: Smoothing(slice_of_noise(0), None, rounding=0.0),
            "rounding: 0.0",
        ),
    ],
)
def test_bad_input_is_named(make, culprit: str, logistic, slice_of_noise) -> None:
    with pytest.raises(InputError, match=culprit):
        make(logistic, slice_of_noise)
