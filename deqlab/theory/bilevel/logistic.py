"""Logistic regression whose l2 weights are the hyperparameters: the standard test of bilevel
optimisation.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.theory.bilevel.problem import Problem


class Split:
    """Labelled samples: X (samples, n), a float64 array or scipy sparse matrix, and labels of -1
    and +1.
    """

    def __init__(self, X: np.ndarray | scipy.sparse.sparray, labels: np.ndarray):
        if X.shape[0] != len(labels) or not len(labels):
            raise InputError(
                f"labels: {len(labels)} given for {X.shape[0]} samples; one for each, and at least"
                " one, needed"
            )
        if not np.isin(labels, (-1, 1)).all():
            raise InputError(f"labels: {np.unique(labels)[:4]} given, -1 and +1 needed")
        self.sparse = not isinstance(X, np.ndarray)
        # Sparse products go through scipy, which has them on every machine; torch's need a build
        # with MKL.
        self.X = torch.as_tensor(X) if isinstance(X, np.ndarray) else X.tocsr()
        self.transposed = self.X.T if isinstance(X, np.ndarray) else X.T.tocsr()
        self.labels = torch.as_tensor(labels, dtype=torch.float64)

    def scores(self, w: Tensor) -> Tensor:
        """X w, (samples,), for w (n,)."""
        return torch.from_numpy(self.X @ w.numpy()) if self.sparse else self.X @ w

    def back(self, r: Tensor) -> Tensor:
        """X^T r / samples, (n,)."""
        return (
            torch.from_numpy(self.transposed @ r.numpy()) if self.sparse else self.transposed @ r
        ) / len(self.labels)

    def loss(self, w: Tensor) -> Tensor:
        """The mean logistic loss in nats, a scalar tensor."""
        return torch.nn.functional.softplus(-self.labels * self.scores(w)).mean()

    def gradient(self, w: Tensor) -> Tensor:
        """The gradient of `loss`, (n,)."""
        return self.back(-self.labels * torch.sigmoid(-self.labels * self.scores(w)))

    def curvature(self, w: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> (second derivative of `loss` at w) v."""
        p = torch.sigmoid(self.scores(w))
        spread = p * (1 - p)
        return lambda v: self.back(spread * self.scores(v))

    def largest_curvature(self) -> float:
        """A bound on the eigenvalues of `curvature`: ||X||^2 / (4 samples), to 1 % above what 50
        steps of the power method find.
        """
        v = torch.randn(
            self.X.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        for _ in range(50):
            v = self.back(self.scores(v / v.norm()))
        return 1.01 * float(v.norm()) / 4


class Logistic(Problem):
    """energy = mean logistic loss of the training split + 1/2 sum_i exp(theta_group(i)) x_i^2;
    outer loss = mean logistic loss of another split.

    train, validate, test: splits over the same n features. x is (1, n). groups: which theta weighs
    feature i, long (n,); None for one theta for all. Source: F. Pedregosa, Hyperparameter
    optimization with approximate gradient (HOAG), ICML 2016, sec. 5.
    """

    def __init__(
        self, name: str, train: Split, validate: Split, test: Split, groups: Tensor | None = None
    ):
        self.name = name
        self.train, self.validate, self.held_out = train, validate, test
        n = train.X.shape[1]
        self.groups = torch.zeros(n, dtype=torch.long) if groups is None else groups
        if self.groups.shape != (n,):
            raise InputError(
                f"groups: shape {tuple(self.groups.shape)} given, one number for each of {n}"
                " features needed"
            )
        self.largest = train.largest_curvature()
        # Relative to the curvature of the data, so that the units of the features do not matter:
        # from far too much to far too little.
        center = math.log(self.largest)
        self.theta0 = torch.full((int(self.groups.max()) + 1,), center, dtype=torch.float64)
        self.low, self.high = center - 10, center + 1

    def each(self) -> "Logistic":
        """The same splits with a weight of its own for every feature: as many hyperparameters as
        unknowns, beyond any grid.
        """
        name = f"{self.name}, a weight each"
        return Logistic(
            name, self.train, self.validate, self.held_out, torch.arange(self.groups.numel())
        )

    def start(self) -> Tensor:
        """Zero: all classes equally likely."""
        return torch.zeros(1, self.groups.numel(), dtype=torch.float64)

    def weights(self, theta: Tensor) -> Tensor:
        """exp(theta) for every feature, (n,)."""
        return theta.exp()[self.groups]

    def energy(self, theta: Tensor, x: Tensor) -> Tensor:
        """The inner objective, a scalar tensor."""
        return self.train.loss(x[0]) + (self.weights(theta) * x[0].square()).sum() / 2

    def gradient(self, theta: Tensor, x: Tensor) -> Tensor:
        """The gradient of the energy in x, (1, n)."""
        return (self.train.gradient(x[0]) + self.weights(theta) * x[0])[None]

    def hessian(self, theta: Tensor, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> (second derivative of the energy at x) v."""
        curvature, weights = self.train.curvature(x[0]), self.weights(theta)
        return lambda v: (curvature(v[0]) + weights * v[0])[None]

    def cross(self, theta: Tensor, x: Tensor, q: Tensor) -> Tensor:
        """sum over the features i of group j of exp(theta_j) x_i q_i, (k,)."""
        return torch.zeros_like(theta).index_add(0, self.groups, self.weights(theta) * x[0] * q[0])

    def bound(self, theta: Tensor) -> float:
        """The largest curvature of the mean loss and the largest weight."""
        return self.largest + float(theta.exp().max())

    def validation(self, x: Tensor) -> tuple[float, Tensor]:
        """Mean logistic loss of the validation split, and its gradient."""
        return float(self.validate.loss(x[0])), self.validate.gradient(x[0])[None]

    def test(self, theta: Tensor, x: Tensor) -> float:
        """Mean logistic loss of the test split."""
        return float(self.held_out.loss(x[0]))
