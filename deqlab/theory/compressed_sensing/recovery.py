"""The signal of smallest l1 norm that explains the measurements, for many small problems at once.

min ||x||_1 subject to A x = y (basis pursuit) by Douglas-Rachford splitting, which is a fixed-point
iteration: project onto the solutions of A x = y, reflect, soft-threshold. S. S. Chen, D. L. Donoho
and M. A. Saunders, Atomic decomposition by basis pursuit, SIAM J. Sci. Comput. 20 (1998); that the
iteration is linear in the end: L. Demanet and X. Zhang, Eventual linear convergence of the
Douglas-Rachford iteration for basis pursuit, Math. Comp. 85 (2016).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from deqlab.core.errors import InputError

# The residual is read only every so often: reading it costs about as much as an iteration on small
# problems.
CHECK_EVERY = 20


class Rows(Protocol):
    """A measurement whose rows are orthonormal, A A^H = I, so that A^H A projects."""

    def forward(self, signals: Tensor) -> Tensor:
        """A x, (batch, m), from (batch, n)."""

    def adjoint(self, measurements: Tensor) -> Tensor:
        """A^H y, (batch, n), from (batch, m)."""

    def select(self, index: Tensor) -> "Rows":
        """The measurement of the batch members in `index`."""


@dataclass(frozen=True)
class MatrixRows:
    """Orthonormal rows as a matrix, (m, n) for the whole batch or (batch, m, n)."""

    matrix: Tensor

    def forward(self, signals: Tensor) -> Tensor:
        """A x."""
        if self.matrix.ndim == 2:
            return signals @ self.matrix.mT
        return (self.matrix @ signals.unsqueeze(-1)).squeeze(-1)

    def adjoint(self, measurements: Tensor) -> Tensor:
        """A^H y."""
        if self.matrix.ndim == 2:
            return measurements @ self.matrix.conj()
        return (self.matrix.mH @ measurements.unsqueeze(-1)).squeeze(-1)

    def select(self, index: Tensor) -> "MatrixRows":
        """The rows of the batch members in `index`."""
        return self if self.matrix.ndim == 2 else MatrixRows(self.matrix[index])


@dataclass(frozen=True)
class BasisPursuitMap:
    """If z = f(z) = z + S(2 P z - z) - P z, then P z minimises ||x||_1 on A x = y; P projects onto
    A x = y, S is the soft threshold.

    measurements: y, real or complex (batch, m). threshold: of S, real (batch, 1); it changes the
    speed and not the minimiser. The map is firmly nonexpansive, so Picard's iteration converges
    from anywhere; `deqlab.solvers.solve` takes it as it is.
    """

    rows: Rows
    measurements: Tensor
    threshold: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        projected = self.signal(z)
        return z + soft_threshold(2 * projected - z, self.threshold) - projected

    def signal(self, z: Tensor) -> Tensor:
        """P z, (batch, n): the candidate that belongs to a state; it always explains the
        measurements.
        """
        return z - self.rows.adjoint(self.rows.forward(z) - self.measurements)

    def start(self) -> Tensor:
        """The solution of A x = y with the smallest l2 norm."""
        return self.rows.adjoint(self.measurements)

    def select(self, index: Tensor) -> "BasisPursuitMap":
        """The map of the batch members in `index`."""
        return replace(
            self,
            rows=self.rows.select(index),
            measurements=self.measurements[index],
            threshold=self.threshold[index],
        )


@dataclass(frozen=True)
class Recovery:
    """What l1 returns for each member of the batch.

    signal: (batch, n), solves A x = y. residual: ||f(z) - z|| / ||P z||, real (batch,). converged:
        whether residual <= tolerance, bool (batch,).
    iterations: how many it took, long (batch,).
    """

    signal: Tensor
    residual: Tensor
    converged: Tensor
    iterations: Tensor


def soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """argmin_u 1/2 |u - x|^2 + threshold |u|: magnitudes shrink by `threshold`, those below it
    become 0, phases and signs stay.
    """
    magnitude = x.abs()
    return x * (
        (magnitude - threshold).clamp_min(0)
        / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny)
    )


def orthonormal_rows(matrix: Tensor, measurements: Tensor) -> tuple[MatrixRows, Tensor]:
    """The same equations A x = y with orthonormal rows: (rows, measurements), by a QR decomposition
    of A^H.

    matrix: real or complex (m, n) or (batch, m, n). measurements: (batch, m). Raises InputError for
        rows that depend on one another.
    """
    check_problem(matrix, measurements)
    Q, R = torch.linalg.qr(matrix.mH)
    diagonal = torch.diagonal(R, dim1=-2, dim2=-1).abs()
    small = torch.finfo(diagonal.dtype).eps * max(matrix.shape[-2:])
    if matrix.shape[-2] > matrix.shape[-1] or bool(
        (diagonal.amin(-1) <= small * diagonal.amax(-1)).any()
    ):
        shape = tuple(matrix.shape[-2:])
        raise InputError(
            f"matrix: the rows of the {shape} matrix depend on one another; leave out those that"
            " follow from others"
        )
    solved = torch.linalg.solve_triangular(R.mH, measurements.unsqueeze(-1), upper=False).squeeze(
        -1
    )
    return MatrixRows(Q.mH), solved


def basis_pursuit_map(rows: Rows, measurements: Tensor, threshold: float = 1.0) -> BasisPursuitMap:
    """The map for orthonormal `rows`; `threshold` is relative to the largest entry of A^H y, so
    that the scale of y changes nothing.
    """
    if not threshold > 0:
        raise InputError(f"threshold: {threshold} given, a number > 0 needed")
    return BasisPursuitMap(
        rows, measurements, threshold * rows.adjoint(measurements).abs().amax(-1, keepdim=True)
    )


@torch.no_grad()
def basis_pursuit(
    matrix: Tensor,
    measurements: Tensor,
    threshold: float = 1.0,
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
) -> Recovery:
    """argmin ||x||_1 subject to A x = y for every member of the batch, each stopped by its own
    residual.

    matrix: real or complex (m, n), or (batch, m, n). measurements: (batch, m), of the same dtype.
    The l1 norm of a complex signal is the sum of magnitudes. Raises InputError for shapes or dtypes
    that do not fit, and for rows that depend on one another.
    """
    return iterate(
        basis_pursuit_map(*orthonormal_rows(matrix, measurements), threshold),
        tolerance,
        max_iterations,
    )


@torch.no_grad()
def iterate(
    f: BasisPursuitMap,
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
    enough: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Recovery:
    """The Recovery at the fixed point of `f` by Picard's iteration.

    enough: enough(signals, members) says of the running members, long (running,), which ones may
        stop unconverged, bool (running,).

    Leaner than `deqlab.solvers.solve`, which keeps a trace and the best iterate: these maps cost
    microseconds, and thousands share a batch.
    """
    z = f.start()
    final, running = z.clone(), torch.arange(len(z), device=z.device)
    whole, residual = f, z.real.new_full((len(z),), torch.inf)
    iterations = torch.zeros(len(z), dtype=torch.long, device=z.device)
    for iteration in range(1, max_iterations + 1):
        new = f(z)
        if iteration % CHECK_EVERY == 0 or iteration == max_iterations:
            signal = f.signal(z)
            length = torch.linalg.vector_norm(signal, dim=-1).clamp_min(torch.finfo(z.dtype).tiny)
            now = torch.linalg.vector_norm(new - z, dim=-1) / length
            final[running], residual[running], iterations[running] = new, now, iteration
            going = now > tolerance
            if enough is not None:
                going = going & ~enough(signal, running)
            if not bool(going.any()):
                break
            if not bool(going.all()):
                index = going.nonzero().flatten()
                new, running, f = new[index], running[index], f.select(index)
        z = new
    return Recovery(whole.signal(final), residual, residual <= tolerance, iterations)


def check_problem(matrix: Tensor, measurements: Tensor) -> None:
    """Raises InputError unless `matrix` (m, n) or (batch, m, n) and `measurements` (batch, m)
    belong together.
    """
    if matrix.ndim not in (2, 3):
        raise InputError(
            f"matrix: shape {tuple(matrix.shape)} given, (m, n) or (batch, m, n) needed"
        )
    batch = measurements.shape[:1] if matrix.ndim == 2 else matrix.shape[:1]
    if measurements.ndim != 2 or measurements.shape != (*batch, matrix.shape[-2]):
        raise InputError(
            f"measurements: shape {tuple(measurements.shape)} given, (batch, {matrix.shape[-2]})"
            f" fits a matrix of shape {tuple(matrix.shape)}"
        )
    if matrix.dtype != measurements.dtype or not (
        matrix.is_floating_point() or matrix.is_complex()
    ):
        raise InputError(
            f"measurements: {measurements.dtype} given with a matrix of {matrix.dtype}; the same"
            " real or complex dtype is needed"
        )
