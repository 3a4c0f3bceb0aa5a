"""GRAPPA: a missing k-space line is a linear combination of measured lines nearby, with weights
learnt from the calibration lines.

M. A. Griswold et al., Generalized autocalibrating partially parallel acquisitions (GRAPPA), Magn
Reson Med 47:1202 (2002). A missing line and its sources form a *geometry*, the offsets to the
sources. A regular pattern has a few geometries, an irregular one many, and each needs its own
weights. All weights come from the same correlations between calibration lines, so these are
computed once.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from operator import add
from typing import ClassVar, Literal

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Positive, option, options
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.recon.base import LINES, Budget, Method, Outcome, Takes
from deqlab.signal.coils.coil_maps import rss
from deqlab.signal.sampling.masks import calibration_lines
from deqlab.signal.transforms.fourier import ifft2c

# Share of the missing lines that must have all the sources asked for, below which the kernel is
# taken for a mistake.
SERVED = 1 / 20
# Calibration lines whose correlations with those after them are one matrix product.
RUN = 8

Geometry = tuple[int, ...]


@options
class GRAPPA(Method):
    """The image of k-space whose missing phase-encode lines are filled in; measured lines stay
    exactly as they were measured.
    """

    kernel: tuple[Count, Count] = option(
        (5, 2),
        "readout samples (odd) and lines that a missing sample is made of: the nearest measured"
        " lines, all coils",
    )
    weight: Positive = option(
        3e-3,
        "Tikhonov weight of the fit, relative to the mean diagonal entry of its Gram matrix, so"
        " that the scale of k-space does not matter, and times the squared distance to a source,"
        " since smooth coil maps say less about lines farther away",
    )
    reach: Count = option(
        2,
        "a line farther than so many samples from every measured one stays zero, which an"
        " irregular pattern's wide gaps are better off with; arrays of many coils, and regular"
        " patterns beyond 5x, may want more",
    )
    combine: Literal["maps", "rss"] = option(
        "maps",
        '"maps" weighs the coil images by the coil maps, "rss" takes their root-sum-of-squares and'
        " has no phase",
    )

    takes: ClassVar[Takes] = LINES

    def __post_init__(self) -> None:
        if self.kernel[0] % 2 == 0:
            raise InputError(
                f"kernel: {self.kernel} given, (readout samples, lines) needed, an odd number of"
                " samples and 1 line or more"
            )

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x) sampled along whole
        lines.
        """
        assert isinstance(A, CartesianOperator), "what LINES takes"
        return Outcome(self.combined(ifft2c(self.fill(kspace, A.mask)), A.coil_maps))

    def combined(self, images: Tensor, maps: Tensor | None) -> Tensor:
        """One image of the coil images (batch, coil, y, x)."""
        if self.combine == "rss":
            return rss(images).to(images.dtype)
        if maps is None:
            return images.squeeze(-3)
        return (images * maps.conj().to(images.dtype)).sum(-3)

    @torch.no_grad()
    def fill(self, kspace: Tensor, mask: Tensor) -> Tensor:
        """k-space with its gaps filled, complex (batch, coil, y, x).

        mask: bool, (x,) or (batch | 1, 1, 1, x). A geometry spans at most half of the calibration
        lines, so that the other half tells how it goes on; wider ones fit noise (measured on a
        head: up to 5 dB worse than zeros). A line is made of those of its sources that fit, and one
        that has none stays zero. InputError for a mask of other axes, without a gap or without
        calibration lines, and for a kernel that is too wide for them: where not even one missing
        line in twenty has all the sources that were asked for.
        """
        if mask.ndim == 1:
            mask = mask.reshape(1, 1, 1, -1)
        if mask.shape[-3:] != (1, 1, kspace.shape[-1]):
            raise InputError(
                f"mask: shape {tuple(mask.shape)} given; GRAPPA needs whole lines, (columns,) with"
                f" {kspace.shape[-1]} columns"
            )
        if kspace.shape[-2] < self.kernel[0]:
            raise InputError(
                f"kernel: {self.kernel[0]} readout samples given, kspace has {kspace.shape[-2]}"
                " rows"
            )
        patterns, member = torch.unique(
            mask.expand(len(kspace), -1, -1, -1).flatten(1).cpu(), dim=0, return_inverse=True
        )
        if len(patterns) == 1:
            return self._fill(kspace, patterns[0])
        filled = torch.zeros_like(kspace)
        for index, pattern in enumerate(patterns):
            chosen = (member == index).to(kspace.device)
            filled[chosen] = self._fill(kspace[chosen], pattern)
        return filled

    def _fill(self, kspace: Tensor, pattern: Tensor) -> Tensor:
        lines = calibration_lines(pattern)
        geometries = self._geometries(pattern, lines)
        correlations = _Correlations.of(kspace[..., lines], self.kernel[0], _available(lines))
        filled, measured = torch.zeros_like(kspace), pattern.nonzero().flatten().to(kspace.device)
        filled[..., measured] = kspace[..., measured]
        for count in sorted({len(sources) for sources in geometries.values()} - {0}):
            columns = [column for column, sources in geometries.items() if len(sources) == count]
            kinds = sorted({geometries[column] for column in columns})
            weights = torch.stack([correlations.weights(sources, self.weight) for sources in kinds])
            of_column = torch.tensor(
                [kinds.index(geometries[column]) for column in columns], device=kspace.device
            )
            offsets = torch.tensor([geometries[column] for column in columns], device=kspace.device)
            missing = torch.tensor(columns, device=kspace.device)
            filled[..., missing] = _apply(kspace, missing[:, None] + offsets, weights[of_column])
        return filled

    def _geometries(self, pattern: Tensor, lines: slice) -> dict[int, Geometry]:
        """Missing column -> offsets of its sources, sorted."""
        measured = pattern.nonzero().flatten().tolist()
        missing = (~pattern).nonzero().flatten().tolist()
        if not missing:
            raise InputError("mask: every line is measured; there is no gap to fill")
        found = {
            column: _sources(column, measured, self.kernel[1], _available(lines))
            for column in missing
        }
        between = [column for column in missing if measured[0] < column < measured[-1]] or missing
        full = sum(len(found[column]) == self.kernel[1] for column in between)
        if full < SERVED * len(between):
            raise InputError(
                f"kernel: {self.kernel[1]} lines given, but for {len(between) - full} of"
                f" {len(between)} missing lines they span more than half of the"
                f" {lines.stop - lines.start} calibration lines; a kernel of fewer lines, or more"
                " calibration lines, needed"
            )
        return {
            column: sources if sources and min(map(abs, sources)) <= self.reach else ()
            for column, sources in found.items()
        }


def _available(lines: slice) -> int:
    """The most columns that a geometry may span: half of the calibration lines, the missing one
    included.
    """
    return (lines.stop - lines.start) // 2 + 1


def _sources(column: int, measured: list[int], count: int, available: int) -> Geometry:
    """Offsets from `column` to `count` measured lines that, together with it, span at most
    `available` columns.

    The nearest on either side, then the second nearest, and so on: two lines of one side know less
    than one of each.
    """
    left = [line - column for line in reversed(measured) if -available < line - column < 0]
    right = [line - column for line in measured if 0 < line - column < available]
    chosen: list[int] = []
    for pair in zip_longest(left, right):
        for offset in sorted((offset for offset in pair if offset is not None), key=abs):
            if (
                len(chosen) < count
                and max(0, offset, *chosen) - min(0, offset, *chosen) < available
            ):
                chosen.append(offset)
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class _Correlations:
    """Inner products of all pairs of calibration lines, each seen as `samples` shifted copies along
    the readout.

    products: sum over rows of conj(line i, copy) (line j, copy), complex (line, line, batch, coil *
    samples, coil * samples), for lines that one geometry can hold; zero for lines farther apart.
    """

    products: Tensor
    samples: int

    @staticmethod
    def of(calibration: Tensor, samples: int, available: int) -> "_Correlations":
        """From the calibration lines (batch, coil, y, line), at the rows where every copy lies
        inside; a geometry spans `available` lines.
        """
        batch, _, _, lines = calibration.shape
        peak = calibration.abs().amax((-3, -2, -1), keepdim=True)
        copies = (calibration / torch.where(peak > 0, peak, 1)).unfold(-2, samples, 1)
        copies = copies.permute(0, 2, 3, 1, 4).flatten(3)  # (batch, row, line, coil * samples)
        size = copies.shape[-1]
        products = calibration.new_zeros(lines, lines, batch, size, size)
        for start in range(0, lines, RUN):
            some, after = slice(start, start + RUN), slice(start, start + RUN + available)
            part = copies[:, :, some].flatten(2).mH @ copies[:, :, after].flatten(2)
            part = part.unflatten(1, (-1, size)).unflatten(-1, (-1, size)).permute(1, 3, 0, 2, 4)
            products[some, after] = part
            products[after, some] = part.transpose(0, 1).mH
        return _Correlations(products, samples)

    def weights(self, sources: Geometry, weight: float) -> Tensor:
        """The regularised least-squares weights of a geometry, complex (batch, source, coil,
        samples, coil of the target).

        The fit is over all calibration lines that may stand for the missing one.
        """
        lines, (batch, size) = len(self.products), self.products.shape[2:4]
        first, stop = -min(0, *sources), lines - max(0, *sources)
        offsets = torch.tensor(sources, device=self.products.device)
        targets = torch.arange(first, stop, device=self.products.device)[:, None]
        at = targets + offsets
        gram = (
            self.products[at[:, :, None], at[:, None, :]]
            .sum(0)
            .permute(2, 0, 3, 1, 4)
            .reshape(batch, len(sources) * size, -1)
        )
        centre = slice(self.samples // 2, None, self.samples)
        right = (
            self.products[at, targets][..., centre]
            .sum(0)
            .transpose(0, 1)
            .reshape(batch, len(sources) * size, -1)
        )
        # These systems are small, and in double precision any weight leaves them well posed.
        gram, right = gram.to(torch.complex128), right.to(torch.complex128)
        mean = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)
        distances = offsets.square().repeat_interleave(size).to(mean)
        gram.diagonal(dim1=-2, dim2=-1).add_(
            (weight * torch.where(mean > 0, mean, 1))[:, None] * distances
        )
        solved = torch.cholesky_solve(right, torch.linalg.cholesky(gram)).to(self.products.dtype)
        return solved.reshape(batch, len(sources), -1, self.samples, solved.shape[-1])


def _apply(kspace: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Missing columns from their sources, complex (batch, coil, y, column).

    sources: columns (column, source). weights: (column, batch, source, coil, samples, target coil).
    Beyond the ends of the readout there are zeros. Each copy along the readout is one matrix
    product over sources and coils, and the copies are shifted after it, not before.
    """
    samples, rows = weights.shape[-2], kspace.shape[-2]
    padded = torch.nn.functional.pad(kspace.transpose(-1, -2), (samples // 2, samples // 2))
    seen = padded[:, :, sources].permute(0, 2, 4, 3, 1).flatten(-2)
    products = (seen @ weights.movedim(1, 0).flatten(2, 3).flatten(-2)).unflatten(-1, (samples, -1))
    filled = reduce(add, (products[:, :, at : at + rows, at] for at in range(samples)))
    return filled.permute(0, 3, 2, 1)
