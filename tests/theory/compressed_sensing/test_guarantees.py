"""Coherence, restricted isometry and null-space property: frames whose constants are known, and all
signals of tiny problems.
"""

from __future__ import annotations

import math
from itertools import combinations, product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.theory import compressed_sensing as cs


def mercedes_benz() -> Tensor:
    """Three unit vectors in the plane, 120 degrees apart."""
    angles = 2 * math.pi * torch.arange(3).double() / 3 + math.pi / 2
    return torch.stack([angles.cos(), angles.sin()])


def icosahedron() -> Tensor:
    """The six diagonals of an icosahedron."""
    golden = (1 + math.sqrt(5)) / 2
    lines = [
        [0, 1, golden],
        [0, 1, -golden],
        [1, golden, 0],
        [1, -golden, 0],
        [golden, 0, 1],
        [golden, 0, -1],
    ]
    return torch.tensor(lines, dtype=torch.float64).T


def difference_set() -> Tensor:
    """Three of seven frequencies whose differences are all of 1 to 6, each once: a partial Fourier
    matrix that is equiangular.
    """
    return cs.fourier_rows(torch.tensor([0, 1, 3]), 7)


@pytest.mark.parametrize("frame", [mercedes_benz, icosahedron, difference_set])
def test_equiangular_frames_meet_the_welch_bound(frame) -> None:
    matrix = frame()
    assert_close(float(cs.coherence(matrix)), cs.welch_bound(*matrix.shape), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_no_matrix_is_below_the_welch_bound(draw, dtype: torch.dtype) -> None:
    for m, n in ((2, 3), (3, 7), (5, 6), (10, 40)):
        matrices = draw(20, m, n, dtype=dtype)
        assert bool((cs.coherence(matrices) > cs.welch_bound(m, n)).all())
    assert cs.welch_bound(4, 4) == cs.welch_bound(5, 4) == 0


def test_coherence_is_the_largest_cosine(draw) -> None:
    matrix = draw(4, 6, dtype=torch.complex128)
    cosines = [
        abs(complex(torch.vdot(matrix[:, i], matrix[:, j])))
        / float(matrix[:, i].norm() * matrix[:, j].norm())
        for i, j in combinations(range(6), 2)
    ]
    assert_close(float(cs.coherence(matrix)), max(cosines))
    assert_close(cs.coherence(matrix * torch.arange(1, 7)), cs.coherence(matrix))


@pytest.mark.parametrize(
    "mu, count",
    [(1.0, 0), (0.5, 1), (1 / 3, 1), (0.3, 2), (0.25, 2), (0.2, 2), (0.19, 3), (0.1, 5)],
)
def test_coherence_guarantee(mu: float, count: int) -> None:
    assert cs.coherence_guarantee(mu) == count
    assert count < (1 + 1 / mu) / 2 <= count + 1


def test_restricted_isometry_of_one_and_of_two(draw) -> None:
    """One entry: how far a column is from unit length. Two entries of unit columns: the coherence.
    All: the norm of A^H A - I.
    """
    matrix = draw(6, 9, dtype=torch.complex128) / 3
    lengths = torch.linalg.vector_norm(matrix, dim=0)
    assert_close(cs.restricted_isometry(matrix, 1), (lengths.square() - 1).abs().max())
    assert_close(cs.restricted_isometry(matrix / lengths, 2), cs.coherence(matrix))
    gram = matrix.mH @ matrix
    assert_close(
        cs.restricted_isometry(matrix, 9), torch.linalg.matrix_norm(gram - torch.eye(9), ord=2)
    )


def test_restricted_isometry_holds_and_is_reached(draw) -> None:
    matrix = draw(8, 12) / math.sqrt(8)
    constant = float(cs.restricted_isometry(matrix, 3))
    stretch = []
    for support in combinations(range(12), 3):
        values = torch.linalg.svdvals(matrix[:, list(support)]).square()
        stretch += [float(values[0]) - 1, 1 - float(values[-1])]
    assert_close(constant, max(stretch))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("sparsity", [1, 2, 3, 4])
def test_lower_bound_of_the_restricted_isometry(draw, dtype: torch.dtype, sparsity: int) -> None:
    reached = []
    for seed in range(3):
        matrix = draw(8, 14, dtype=dtype, seed=seed) / math.sqrt(8)
        exact = float(cs.restricted_isometry(matrix, sparsity))
        sampled = float(cs.restricted_isometry_lower_bound(matrix, sparsity, starts=8, sweeps=0))
        improved = float(cs.restricted_isometry_lower_bound(matrix, sparsity, starts=8))
        assert sampled <= improved <= exact * (1 + 1e-9)
        assert improved >= 0.97 * exact
        reached.append(sampled / exact)
    assert min(reached) < 0.97  # sampling alone would not do


def recovered_shares(matrix: Tensor, sparsity: int) -> float:
    """The share of all supports and all signs of `sparsity` entries that l1 recovers."""
    n = matrix.shape[1]
    places = torch.tensor(list(combinations(range(n), sparsity)))
    signs = torch.tensor(list(product((1.0, -1.0), repeat=sparsity)), dtype=torch.float64)
    signals = torch.cat(
        [
            torch.zeros(len(places), n).double().scatter(1, places, s.expand(len(places), -1))
            for s in signs
        ]
    )
    found = cs.basis_pursuit(matrix, signals @ matrix.T, tolerance=1e-10, max_iterations=20_000)
    return float(((found.signal - signals).abs().amax(-1) < 1e-4).double().mean())


def test_null_space_property_exactly_where_all_signals_are_recovered(draw) -> None:
    outcomes = []
    for m, n, sparsity in ((2, 3, 1), (4, 6, 1), (6, 7, 2), (7, 8, 2), (6, 8, 2)):
        for seed in range(3):
            matrix = draw(m, n, seed=seed)
            constant = cs.null_space_constant(matrix, sparsity)
            assert abs(constant - 0.5) > 1e-3  # a tie would say nothing
            share = recovered_shares(matrix, sparsity)
            assert (share == 1.0) == (constant < 0.5)
            outcomes.append(share == 1.0)
    assert 4 <= sum(outcomes) <= 11


def test_null_space_constant_of_a_line() -> None:
    """A null space of one dimension: the k largest shares of its vector."""
    h = torch.tensor([4.0, -3.0, 2.0, 1.0], dtype=torch.float64)
    matrix = torch.linalg.svd(h[None]).Vh[1:]
    for sparsity, share in ((1, 0.4), (2, 0.7), (3, 0.9), (4, 1.0)):
        assert cs.null_space_constant(matrix, sparsity) == pytest.approx(share, abs=1e-9)
    assert cs.null_space_constant(torch.eye(4), 2) == pytest.approx(0, abs=1e-12)
    assert cs.null_space_constant(mercedes_benz(), 1) == pytest.approx(1 / 3)


def test_restricted_isometry_implies_recovery(draw) -> None:
    """d of 2k entries below sqrt(2) - 1 is enough (Candes 2008): seen on a matrix that is nearly an
    isometry.
    """
    flat = torch.ones(1, 12, dtype=torch.float64) + 0.1 * draw(1, 12)
    matrix = torch.linalg.svd(flat).Vh[
        1:
    ]  # 11 x 12: what it does not see is spread over all entries
    for sparsity in (1, 2):
        assert float(cs.restricted_isometry(matrix, 2 * sparsity)) < math.sqrt(2) - 1
        assert cs.null_space_constant(matrix, sparsity) < 0.5
    assert float(cs.restricted_isometry(matrix, 12)) == pytest.approx(1)


def test_spark(draw) -> None:
    matrix = draw(4, 7, dtype=torch.complex128)
    assert cs.spark(matrix) == 5
    matrix[:, 6] = 2j * matrix[:, 1] - matrix[:, 3]
    assert cs.spark(matrix) == 3
    matrix[:, 0] = 0
    assert cs.spark(matrix) == 1
    assert cs.spark(torch.eye(3)) == 4
    assert cs.spark(mercedes_benz()) == 3


def test_bad_input(draw) -> None:
    with pytest.raises(InputError, match="real matrices"):
        cs.null_space_constant(draw(3, 6, dtype=torch.complex128), 1)
    for call in (cs.restricted_isometry, cs.null_space_constant):
        with pytest.raises(InputError, match="smaller problem"):
            call(draw(10, 100), 6)
        for sparsity in (0, 7):
            with pytest.raises(InputError, match="sparsity"):
                call(draw(3, 6), sparsity)
    with pytest.raises(InputError, match="smaller problem"):
        cs.spark(draw(10, 100))
    with pytest.raises(InputError, match="zero"):
        cs.coherence(torch.zeros(3, 4))
    with pytest.raises(InputError, match="matrix"):
        cs.restricted_isometry(torch.ones(3, 4, dtype=torch.long), 1)
    with pytest.raises(InputError, match="columns"):
        cs.welch_bound(0, 4)
    for mu in (0.0, 1.1):
        with pytest.raises(InputError, match="coherence"):
            cs.coherence_guarantee(mu)
