"""Whether and how coils are whitened, from the measurement itself.

The outermost samples of k-space are not all noise: what a coil sees of a sharp edge reaches them,
and coils see edges differently, so that on noiseless heads they look like noise that is stronger in
one coil than in another by a factor of ten. But the readout is fully sampled. Its inverse transform
tells apart what comes from the head and what comes from the air beside it, and of air the outermost
columns hold noise alone. Where there is none, power falls from the centre to the edge of k-space
even in the faintest rows, and the coils are left as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deqlab.core.options import Number, Positive, Share, option, options
from deqlab.signal.coils.robust_scatter import mahalanobis, robust_scatter
from deqlab.signal.coils.whitening import whitening_matrix
from deqlab.signal.transforms.fourier import ifftc

# By Kantorovich's inequality weights that take noise for white, whose eigenvalues are a factor r
# apart, have at most (1 + r)^2 / (4 r) times the least variance: that is where `uneven` comes from.

# Columns that a judgement of rows or of their noise needs at least.
FEWEST = 2
# Noise below this share of the strongest sample is the rounding of numbers, and a coil whose noise
# is below this share of the median coil's is not connected.
ROUNDING, DEAD = 1e-6, 1e-3


@dataclass(frozen=True)
class _Parts:
    """Of one slice the largest sample, and those of air in the outermost columns and in those
    next to the centre, transformed along the readout: complex (coil, n).
    """

    largest: float
    outer: Tensor
    inner: Tensor


@dataclass(frozen=True)
class Whitening:
    """matrix: complex64 (coil, coil) that whitens, or None where coils are left as they are; why:
    in words.
    """

    matrix: Tensor | None
    why: str


class Whitener(Protocol):
    """What decides about whitening: NoWhitening or WhiteningByAir."""

    def matrix(self, slices: Iterable[Tensor], mask: Tensor) -> Whitening: ...


@options
class NoWhitening:
    """Coils are taken as they come: for data that are white already, and for training."""

    def matrix(self, slices: Iterable[Tensor], mask: Tensor) -> Whitening:
        """None, whatever is given."""
        return Whitening(None, "not asked for")


@options
class WhiteningByAir:
    """Coils are mixed so that the noise found in air is white, where it is found and is not white
    already.

    The noise of the mixed coils has about the strength of the measured ones' in the mean. A
    root-sum-of-squares changes from place to place, as it then counts quiet coils for more.
    """

    outermost: Share = option(
        0.2, "share of the measured columns, the outermost ones, in which noise is sought"
    )
    air: Positive = option(
        4.0, "a row is air where the centre columns hold at most so many times their least power"
    )
    least_air: Share = option(1 / 16, "share of the rows that have to be air")
    uneven: Number = option(
        1.5,
        "ratio of the largest to the smallest eigenvalue of the noise from which on coils are"
        " whitened; up to 1.5 no combination of coils has more than 4 % too much variance",
    )
    signal: Number = option(
        2.0,
        "growth of power in air, from the outermost columns to those next to the centre, from which"
        " on it is no air: noise alone has 1, and heads that fill the readout have 3 and more",
    )

    def matrix(self, slices: Iterable[Tensor], mask: Tensor) -> Whitening:
        """The whitening of a volume.

        slices: k-space of some of its slices as measured, complex (coil, row, column), rows the
            readout. mask: bool (column,). Columns that are zero in every coil count as not
            measured.
        """
        if mask.ndim != 1:
            return Whitening(None, "its readout is not fully sampled")
        found = [self._parts(kspace, mask) for kspace in slices]
        largest = max(part.largest for part in found)
        outer = torch.cat([part.outer for part in found], 1)
        inner = torch.cat([part.inner for part in found], 1)
        if len(outer) == 1:
            return Whitening(None, "one coil")
        if largest == 0:
            return Whitening(None, "nothing was measured")
        if outer.shape[1] == 0:
            return Whitening(None, "no air beside the object, so no noise without signal")
        level = outer.abs().median(1).values
        if not float(level.median()) > ROUNDING * largest:
            return Whitening(None, "no noise beyond rounding")
        live = level > DEAD * level.median()
        if int(live.sum()) == 1:
            return Whitening(None, "one coil")
        return self._decided(outer, inner, live)

    def covariance(self, slices: Iterable[Tensor], mask: Tensor) -> Tensor | None:
        """That of the noise found in air, complex (coil, coil), in the unit of `slices`; None where
        there is no air or no noise in it. slices, mask: as in `matrix`.
        """
        found = [self._parts(kspace, mask) for kspace in slices]
        outer = torch.cat([part.outer for part in found], 1)
        largest = max(part.largest for part in found)
        if outer.shape[1] == 0 or not float(outer.abs().median()) > ROUNDING * largest:
            return None
        scatter = robust_scatter(outer)
        # Energies of n complex coils of unit variance have a median of about n - 1/3.
        median = mahalanobis(outer.to(scatter.dtype), scatter).median()
        return scatter * (median / (len(outer) - 1 / 3))

    def _decided(self, outer: Tensor, inner: Tensor, live: Tensor) -> Whitening:
        """The whitening from the samples of all slices. live: which coils are connected."""
        outer, inner = outer[live], inner[live]
        scatter = robust_scatter(outer)
        growth = mahalanobis(inner, scatter).median() / mahalanobis(outer, scatter).median()
        if not float(growth) < self.signal:
            return Whitening(None, "the outermost samples hold signal")
        values = torch.linalg.eigvalsh(scatter)
        uneven = float(values[-1] / values[0])
        told = f"its power uneven by a factor of {uneven:.2g}"
        if uneven < self.uneven:
            return Whitening(None, f"noise is white already, {told}")
        matrix = torch.eye(len(live), dtype=scatter.dtype, device=scatter.device)
        rows = torch.nonzero(live).flatten()
        matrix[rows[:, None], rows] = whitening_matrix(scatter)
        return Whitening(matrix.to(torch.complex64), f"noise of air, {told}")

    def _parts(self, kspace: Tensor, mask: Tensor) -> _Parts:
        """The samples of one slice; none of air where there is none."""
        width = kspace.shape[-1]
        columns = torch.nonzero(mask & (kspace != 0).any(0).any(0)).flatten()
        columns = columns[(columns - width // 2).abs().argsort(stable=True)]
        taken = max(FEWEST, round(self.outermost * len(columns)))
        measured = kspace[..., columns]
        largest = float(measured.abs().max()) if len(columns) else 0.0
        if len(columns) < 3 * taken:
            nothing = measured[:, :0].flatten(1)
            return _Parts(largest, nothing, nothing)
        hybrid = ifftc(measured, -2)
        # Each coil beside its own least, so that one with loud noise does not rule the sum.
        power = hybrid[..., :taken].abs().square().mean(-1)
        least = power.quantile(0.1, dim=1, keepdim=True)
        beside = (power / torch.where(least > 0, least, 1)).mean(0)
        air = beside <= self.air * float(beside.quantile(0.1))
        if int(air.sum()) < self.least_air * len(air):
            air = torch.zeros_like(air)
        outer, inner = hybrid[:, air, -taken:], hybrid[:, air, taken : 2 * taken]
        return _Parts(largest, outer.flatten(1), inner.flatten(1))
