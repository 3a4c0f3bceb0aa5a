"""The sparsest signal that explains the measurements: by trying all supports, and by orthogonal
matching pursuit, which hopes.
"""

import math
from collections.abc import Iterator
from itertools import combinations, islice

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.theory.compressed_sensing.recovery import check_problem

# So many supports take a second or so; ten times as many are no longer a small problem.
MOST_SUPPORTS = 200_000
CHUNK = 4096


@torch.no_grad()
def exhaustive_l0(
    matrix: Tensor, measurements: Tensor, most: int, tolerance: float = 1e-8
) -> Tensor:
    """argmin ||x||_0 subject to A x = y, (batch, n), among all signals of at most `most` entries;
    NaN where none of them fits.

    matrix: real or complex (m, n). measurements: (batch, m). tolerance: of ||A x - y|| relative to
    ||y||. Where several signals are equally sparse, the one that fits best. Raises InputError where
    more than 200,000 supports would have to be tried.
    """
    check_problem(matrix, measurements)
    if matrix.ndim != 2:
        raise InputError(
            f"matrix: shape {tuple(matrix.shape)} given; the search takes one matrix (m, n) for the"
            " whole batch"
        )
    m, n = matrix.shape
    if not 0 <= most <= min(m, n):
        raise InputError(
            f"most: {most} given, 0 to {min(m, n)} entries can be told by {m} measurements of {n}"
        )
    check_supports(n, most)
    size = torch.linalg.vector_norm(measurements, dim=-1)
    found = measurements.new_full((len(measurements), n), torch.nan)
    open_ = torch.ones(len(measurements), dtype=torch.bool, device=matrix.device)
    found[size == 0], open_[size == 0] = 0, False
    for count in range(1, most + 1):
        if not bool(open_.any()):
            break
        members = open_.nonzero().flatten()
        misfit, support = _best_supports(matrix, measurements[members], count)
        fits = misfit <= tolerance * size[members]
        members, support = members[fits], support[fits]
        found[members] = _on_supports(matrix, measurements[members], support)
        open_[members] = False
    return found


@torch.no_grad()
def orthogonal_matching_pursuit(matrix: Tensor, measurements: Tensor, sparsity: int) -> Tensor:
    """A signal of at most `sparsity` entries, (batch, n): take the column that fits the residual
    best, fit all taken columns, repeat.

    matrix: real or complex (m, n), or (batch, m, n). measurements: (batch, m). Columns are compared
    at unit length. No guarantee in general; exact where sparsity < (1 + 1 / coherence) / 2 (J. A.
    Tropp, Greed is good, IEEE Trans. Inf. Theory 50 (2004), theorem B). Raises InputError for more
    entries than measurements.
    """
    check_problem(matrix, measurements)
    if not 1 <= sparsity <= min(matrix.shape[-2:]):
        raise InputError(
            f"sparsity: {sparsity} given, 1 to {min(matrix.shape[-2:])} needed for a matrix of"
            f" shape {tuple(matrix.shape[-2:])}"
        )
    lengths = torch.linalg.vector_norm(matrix, dim=-2).clamp_min(torch.finfo(matrix.dtype).tiny)
    unit = matrix / lengths.unsqueeze(-2)
    residual, signal = measurements, measurements.new_zeros(len(measurements), matrix.shape[-1])
    support = torch.empty(len(measurements), 0, dtype=torch.long, device=measurements.device)
    for _ in range(sparsity):
        correlation = (unit.mH @ residual.unsqueeze(-1)).squeeze(-1).abs()
        # the residual is orthogonal to what was chosen, but for rounding
        correlation = correlation.scatter(-1, support, -1.0)
        support = torch.cat([support, correlation.argmax(-1, keepdim=True)], dim=-1)
        signal = _on_supports(matrix, measurements, support)
        residual = measurements - (matrix @ signal.unsqueeze(-1)).squeeze(-1)
    return signal


def supports(n: int, count: int) -> Iterator[Tensor]:
    """All supports of `count` of n positions, in chunks, long (chunk, count)."""
    everything = combinations(range(n), count)
    while chunk := list(islice(everything, CHUNK)):
        yield torch.tensor(chunk, dtype=torch.long)


def check_supports(n: int, count: int) -> None:
    """Raises InputError where `count` of n is more than a search can try."""
    number = math.comb(n, count)
    if number > MOST_SUPPORTS:
        raise InputError(
            f"{count} of {n} columns: {number} supports, at most {MOST_SUPPORTS} can be tried one"
            " by one; take a smaller problem"
        )


def columns(matrix: Tensor, support: Tensor) -> Tensor:
    """The columns of `matrix` (m, n) or (batch, m, n) in `support` (batch, k), as (batch, m, k)."""
    matrix = matrix.expand(len(support), *matrix.shape[-2:])
    return matrix.gather(-1, support.unsqueeze(-2).expand(-1, matrix.shape[-2], -1))


def _best_supports(matrix: Tensor, measurements: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each measurement the smallest ||A x - y|| over all supports of `count` entries, (batch,),
    and the support, (batch, count).
    """
    smallest = torch.full_like(measurements[:, 0].real, torch.inf)
    best = torch.zeros(len(measurements), count, dtype=torch.long, device=measurements.device)
    for support in supports(matrix.shape[1], count):
        support = support.to(matrix.device)
        # What the columns cannot explain is what is left after projection onto their span.
        basis = torch.linalg.svd(columns(matrix, support), full_matrices=False)
        keep = 1e-12 * basis.S[:, :1] < basis.S
        explained = (basis.U * keep.unsqueeze(-2)).mH @ measurements.mT
        left = measurements.mT - (basis.U * keep.unsqueeze(-2)) @ explained
        misfit, index = torch.linalg.vector_norm(left, dim=-2).min(0)
        better = misfit < smallest
        smallest = torch.where(better, misfit, smallest)
        best = torch.where(better.unsqueeze(-1), support[index], best)
    return smallest, best


def _on_supports(matrix: Tensor, measurements: Tensor, support: Tensor) -> Tensor:
    """The least-squares signals with these supports, (batch, n)."""
    signal = measurements.new_zeros(len(measurements), matrix.shape[-1])
    if len(measurements):
        # gelsd of LAPACK takes columns that depend on one another; other devices have the plain
        # driver only.
        driver = {"driver": "gelsd"} if matrix.device.type == "cpu" else {}
        values = torch.linalg.lstsq(
            columns(matrix, support), measurements.unsqueeze(-1), **driver
        ).solution.squeeze(-1)
        signal.scatter_(-1, support, values)
    return signal
