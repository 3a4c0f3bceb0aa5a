"""Room for vectors that a solver remembers: allocated as it is needed, not for a memory or a budget
that is never used up.
"""

from torch import Tensor

# Rows allocated at first, doubled when they are full. A backward solve to 1e-3 takes some six
# products, so five rows; rows that it never fills would stand beside the graph of f for nothing.
FIRST_ROWS = 5


def capacity(rows: int, memory: int) -> int:
    """How many rows to allocate where `rows` are not enough and `memory` are the most."""
    return min(memory, max(FIRST_ROWS, 2 * rows))


def grown(vectors: Tensor, rows: int) -> Tensor:
    """The vectors (batch, old rows, n) with room for more, (batch, rows, n); what is new is left
    unwritten.
    """
    larger = vectors.new_empty(vectors.shape[0], rows, vectors.shape[2])
    larger[:, : vectors.shape[1]] = vectors
    return larger


def grown_square(matrix: Tensor, rows: int) -> Tensor:
    """The matrix (batch, old rows, old rows) as the corner of one of zeros, (batch, rows, rows)."""
    larger = matrix.new_zeros(matrix.shape[0], rows, rows)
    larger[:, : matrix.shape[1], : matrix.shape[2]] = matrix
    return larger
