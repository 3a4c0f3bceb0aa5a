"""What can be promised of a measurement matrix before anything is measured: coherence, restricted
isometry, null-space property.

A matrix keeps its promise for every k-sparse signal, so all but the coherence ask about all
supports and are out of reach but for tiny
matrices: A. M. Tillmann and M. E. Pfetsch, The computational complexity of the restricted isometry
property, the nullspace property, and related concepts in compressed sensing, IEEE Trans. Inf.
Theory 60 (2014).
"""

import math
from itertools import combinations, product

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.theory.compressed_sensing.sparsest import check_supports, columns, supports

# At a few milliseconds each they take half a minute.
MOST_PROGRAMS = 5000


def coherence(matrix: Tensor) -> Tensor:
    """max over i != j of |<a_i, a_j>| / (|a_i| |a_j|), the largest cosine between two columns:
    real, (...) from (..., m, n).

    Every k-sparse signal with k < (1 + 1 / coherence) / 2 is recovered by l1 (D. L. Donoho and M.
    Elad, Optimally sparse representation in general dictionaries via l1 minimization, PNAS 100
    (2003)) and by matching pursuit. Raises InputError for fewer than two columns, and for a column
    of zeros.
    """
    _check_matrix(matrix, axes=None)
    length = torch.linalg.vector_norm(matrix, dim=-2, keepdim=True)
    if matrix.shape[-1] < 2 or bool((length == 0).any()):
        raise InputError("matrix: at least two columns are needed, none of them zero")
    unit = matrix / length
    cosines = (unit.mH @ unit).abs()
    torch.diagonal(cosines, dim1=-2, dim2=-1).zero_()
    return cosines.amax((-2, -1))


def welch_bound(m: int, n: int) -> float:
    """sqrt((n - m) / (m (n - 1))) <= coherence of every m x n matrix, with equality exactly for
    equiangular tight frames; 0 for n <= m.

    L. R. Welch, Lower bounds on the maximum cross correlation of signals, IEEE Trans. Inf. Theory
    20 (1974).
    """
    if not (m >= 1 and n >= 2):
        raise InputError(f"m, n: {m}, {n} given, at least 1 row and 2 columns needed")
    return math.sqrt(max(n - m, 0) / (m * (n - 1)))


def coherence_guarantee(mu: float) -> int:
    """The largest k below (1 + 1 / mu) / 2: so many entries are always recovered at the coherence
    `mu` > 0.
    """
    if not 0 < mu <= 1 + 1e-6:
        raise InputError(f"mu: {mu} given, a coherence lies in (0, 1]")
    return math.ceil((1 + 1 / mu) / 2 - 1e-9) - 1


@torch.no_grad()
def restricted_isometry(matrix: Tensor, sparsity: int) -> Tensor:
    """The smallest d with (1 - d) |x|^2 <= |A x|^2 <= (1 + d) |x|^2 for all x of at most `sparsity`
    entries, exact: all supports are tried.

    matrix: real or complex (m, n). The scale counts: columns of unit length make the comparison
    fair. E. J. Candes, The restricted isometry property and its implications for compressed
    sensing, C. R. Acad. Sci. Paris 346 (2008): d of 2k entries below sqrt(2) - 1 lets l1 recover
    all k-sparse signals. Raises InputError where more than 200,000 supports would be tried.
    """
    _check_matrix(matrix, sparsity=sparsity)
    check_supports(matrix.shape[1], sparsity)
    gram = matrix.mH @ matrix
    worst = [
        _deviation(gram, support.to(gram.device)).amax()
        for support in supports(matrix.shape[1], sparsity)
    ]
    return torch.stack(worst).amax()


@torch.no_grad()
def restricted_isometry_lower_bound(
    matrix: Tensor, sparsity: int, starts: int = 32, sweeps: int = 2, seed: int = 0
) -> Tensor:
    """No more than `restricted_isometry`, and often equal to it: random supports, each column in
    turn exchanged for the worst one.

    matrix: real or complex (m, n), of any size. starts: supports that are improved. sweeps: how
    often each position is exchanged; 0 samples only. After C. Dossal, G. Peyre and J. Fadili, A
    numerical exploration of compressed sampling recovery, Linear Algebra Appl. 432 (2010), who let
    supports grow.
    """
    _check_matrix(matrix, sparsity=sparsity)
    n, gram = matrix.shape[1], matrix.mH @ matrix
    generator = torch.Generator().manual_seed(seed)
    support = (
        torch.rand(starts, n, generator=generator, dtype=torch.float64)
        .argsort(-1)[:, :sparsity]
        .to(gram.device)
    )
    everyone = torch.arange(n, device=gram.device)
    for position in [*range(sparsity)] * sweeps:
        trial = support.unsqueeze(1).repeat(1, n, 1)
        trial[:, :, position] = everyone
        rest = [other for other in range(sparsity) if other != position]
        taken = (support[:, rest].unsqueeze(1) == everyone[:, None]).any(-1)
        deviation = (
            _deviation(gram, trial.flatten(0, 1)).reshape(starts, n).masked_fill(taken, -torch.inf)
        )
        support[:, position] = deviation.argmax(-1)
    return _deviation(gram, support).amax()


def null_space_constant(matrix: Tensor, sparsity: int) -> float:
    """max of |h_S|_1 / |h|_1 over A h = 0 and all S of `sparsity` entries; l1 recovers *all*
    signals so sparse exactly if it is below 1/2.

    matrix: real (m, n). Exact: one linear program for each S and each choice of signs, C(n, k)
    2^(k-1) of them. 0 for a trivial null space. A. Cohen, W. Dahmen and R. DeVore, Compressed
    sensing and best k-term approximation, J. AMS 22 (2009); as linear programs: A. Juditsky and A.
    Nemirovski, On verifiable sufficient conditions for sparse signal recovery via l1 minimization,
    Math. Program. 127 (2011). Raises InputError for a complex matrix (no linear program), and for
    more than 5,000 programs.
    """
    _check_matrix(matrix, sparsity=sparsity)
    if matrix.is_complex():
        raise InputError(
            f"matrix: {matrix.dtype} given; the null-space constant is a linear program for real"
            " matrices only"
        )
    n = matrix.shape[1]
    programs = math.comb(n, sparsity) * 2 ** (sparsity - 1)
    if programs > MOST_PROGRAMS:
        raise InputError(
            f"{sparsity} of {n} columns: {programs} linear programs, at most {MOST_PROGRAMS} are"
            " solved; take a smaller problem"
        )
    A = matrix.detach().cpu().double().numpy()
    # h = u - v with u, v >= 0, whose sum is at most 1: then max <signs, h_S> is linear.
    equality, budget = np.hstack([A, -A]), np.ones((1, 2 * n))
    largest = 0.0
    for support in combinations(range(n), sparsity):
        for signs in product((1.0, -1.0), repeat=sparsity - 1):
            objective = np.zeros(n)
            objective[list(support)] = (
                1.0,
                *signs,
            )  # -h is in the null space too: the first sign may be fixed
            solution = linprog(
                np.concatenate([-objective, objective]),
                budget,
                [1.0],
                equality,
                np.zeros(len(A)),
                method="highs",
            )
            if not solution.success:
                raise InputError(
                    f"matrix: the linear program on columns {support} failed ({solution.message})"
                )
            largest = max(largest, -float(solution.fun))
    return largest


def spark(matrix: Tensor) -> int:
    """The smallest number of columns that depend on one another, n + 1 where none do; l0 finds all
    k-sparse signals exactly if 2 k < spark.

    matrix: real or complex (m, n). Exact: all supports are tried. Raises InputError where one size
        has more than 200,000.
    """
    _check_matrix(matrix)
    m, n = matrix.shape
    small = (
        1e3 * torch.finfo(matrix.dtype).eps
    )  # relative: what rounding leaves of a zero singular value
    for count in range(1, min(m, n) + 1):
        check_supports(n, count)
        for support in supports(n, count):
            values = torch.linalg.svdvals(columns(matrix, support.to(matrix.device)))
            if bool((values[:, -1] <= small * values[:, 0]).any()):
                return count
    return min(m, n) + 1


def _deviation(gram: Tensor, support: Tensor) -> Tensor:
    """max |eigenvalue - 1| of the parts of the Gram matrix that belong to `support` (batch, k),
    real (batch,).
    """
    part = gram[support.unsqueeze(-1), support.unsqueeze(-2)]
    values = torch.linalg.eigvalsh(part)
    return (values - 1).abs().amax(-1)


def _check_matrix(matrix: Tensor, sparsity: int | None = None, axes: int | None = 2) -> None:
    if (
        matrix.ndim < 2
        or (axes is not None and matrix.ndim != axes)
        or not (matrix.is_floating_point() or matrix.is_complex())
    ):
        raise InputError(
            f"matrix: {matrix.dtype} of shape {tuple(matrix.shape)} given, a real or complex matrix"
            " (m, n) needed"
        )
    if sparsity is not None and not 1 <= sparsity <= matrix.shape[-1]:
        raise InputError(
            f"sparsity: {sparsity} given, 1 to {matrix.shape[-1]} columns can be chosen"
        )
