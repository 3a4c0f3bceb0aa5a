"""Inner products and lengths of flat vectors, per sample, in the forms that are fast on the CPU and
safe in single precision.
"""

import torch
from torch import Tensor

# Single-precision sums are as long as this at most; the rest is added in double precision.
BLOCK = 512


def dots(rows: Tensor, v: Tensor) -> Tensor:
    """<row, v> for each row of (batch, rows, n) and v (batch, n): (batch, rows)."""
    # A row times a matrix, not a matrix times a column: 10 times faster on the CPU.
    return torch.bmm(v.unsqueeze(1), rows.mT).squeeze(1)


def combined(v: Tensor, weights: Tensor, rows: Tensor, sign: float = 1) -> Tensor:
    """v + sign * the sum of weights (batch, rows) times rows (batch, rows, n), real (batch, n)."""
    return torch.baddbmm(v.unsqueeze(1), weights.unsqueeze(1), rows, alpha=sign).squeeze(1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> per sample, (batch, 1)."""
    return torch.bmm(a.unsqueeze(1), b.unsqueeze(1).mT).squeeze(1)


def length(v: Tensor) -> Tensor:
    """||v|| per sample, (batch, 1)."""
    return torch.linalg.vector_norm(v, dim=1, keepdim=True)


def norm(v: Tensor) -> Tensor:
    """||v|| per sample in float64, (batch,): exact to rounding for vectors of any length, if no
    square leaves the range of the dtype.

    A single-precision norm of a million numbers is wrong in the fourth digit; a double-precision
    one costs four times as much.
    """
    _batch, n = v.shape
    whole = n - n % BLOCK
    if v.dtype == torch.float64 or whole == 0:
        return torch.linalg.vector_norm(v, dim=1, dtype=torch.float64)
    blocks = torch.linalg.vector_norm(
        v[:, :whole].unflatten(1, (-1, BLOCK)), dim=2, dtype=torch.float32
    )
    if whole < n:
        blocks = torch.cat(
            (
                blocks,
                torch.linalg.vector_norm(v[:, whole:], dim=1, keepdim=True, dtype=torch.float32),
            ),
            dim=1,
        )
    return torch.linalg.vector_norm(blocks, dim=1, dtype=torch.float64)


def exact_norm(v: Tensor) -> Tensor:
    """||v|| per sample in float64, (batch,), whatever the units of v: no square of a float32 under-
    or overflows there.
    """
    return torch.linalg.vector_norm(v, dim=1, dtype=torch.float64)


def surely(condition: Tensor) -> bool:
    """Whether `condition` holds everywhere, where the answer costs nothing; False says nothing.

    On the CPU it saves passes over vectors that no sample needs. On a GPU the host would wait for
    the answer longer than the passes take.
    """
    return condition.device.type == "cpu" and bool(condition.all())
