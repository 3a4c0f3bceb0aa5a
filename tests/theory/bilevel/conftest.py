"""Bilevel problems that are small enough to be solved densely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from deqlab.data.sample import Sample
from deqlab.data.truth import KnownTruth
from deqlab.operators import CartesianOperator
from deqlab.solvers.flat import flatten, unflatten
from deqlab.theory.bilevel.logistic import Logistic, Split
from deqlab.theory.bilevel.problem import Problem
from deqlab.theory.bilevel.reconstruction import Smoothing


def make_logistic(
    features: int = 5, samples: int = 12, groups: Tensor | None = None, sparse: bool = False
) -> Logistic:
    rng = np.random.default_rng(features)
    slope = rng.standard_normal(features)
    splits = []
    for _ in range(3):
        X = rng.standard_normal((samples, features)) * np.linspace(0.3, 2, features)
        labels = np.where(X @ slope + rng.standard_normal(samples) > 0, 1, -1)
        splits.append(Split(scipy.sparse.csr_array(X) if sparse else X, labels))
    return Logistic("small", *splits, groups=groups)


def make_slice(seed: int, size: int = 6, noise: float = 0.1) -> Sample:
    """A blocky complex image, half of its lines measured."""
    generator = torch.Generator().manual_seed(seed)
    blocks = (
        torch.randn(2, 2, dtype=torch.complex128, generator=generator)
        .repeat_interleave(size // 2, 0)
        .repeat_interleave(size // 2, 1)
    )
    maps = torch.randn(1, 1, size, size, dtype=torch.complex128, generator=generator)
    A = CartesianOperator(
        torch.arange(size) % 2 == 0, maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    )
    error = torch.randn(1, 1, size, size, dtype=torch.complex128, generator=generator)
    kspace = (A(blocks[None]) + noise * error) * A.mask
    truth = KnownTruth(reference=blocks, maximum=1.0)
    return Sample(kspace[0], A, 1.0, "noise", seed, "none", (size, size), truth)


def make_smoothing(size: int = 6) -> Smoothing:
    return Smoothing(make_slice(0, size), make_slice(1, size), rounding=0.3)


PROBLEMS = {
    "logistic": make_logistic,
    "grouped logistic": lambda: make_logistic(groups=torch.tensor([0, 1, 1, 2, 0])),
    "smoothing": make_smoothing,
}


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param]()


@pytest.fixture
def logistic() -> Callable[..., Logistic]:
    return make_logistic


@pytest.fixture
def slice_of_noise() -> Callable[..., Sample]:
    return make_slice


@pytest.fixture
def dense_hessian() -> Callable[[Problem, Tensor, Tensor], Tensor]:
    """The Hessian at x as a real matrix, in the coordinates of `deqlab.solvers.flat.flatten`."""

    def dense(problem: Problem, theta: Tensor, x: Tensor) -> Tensor:
        product, size = problem.hessian(theta, x), flatten(x).shape[1]
        return torch.cat(
            [
                flatten(product(unflatten(row[None], x)))
                for row in torch.eye(size, dtype=torch.float64)
            ]
        ).T

    return dense
