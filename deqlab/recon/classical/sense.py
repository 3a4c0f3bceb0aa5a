"""SENSE: regular undersampling folds pixels onto one another, and the coil maps unfold them, a
small system for every set of folded pixels.

K. P. Pruessmann et al., SENSE: sensitivity encoding for fast MRI, Magn Reson Med 42:952 (1999).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import NonNegative, option, options
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.recon.base import LINES, Budget, Method, Outcome, Takes
from deqlab.signal.transforms.fourier import ifft2c

# Eigenvalues of the folded systems below this share of the largest, in units of the rounding error,
# count as zero.
RANK = 10.0


@dataclass(frozen=True)
class Unfolded:
    """What SENSE gives. image: complex (batch, y, x). g_factor: real (batch, y, x), see
    `SENSE.unfold`. acceleration: of the comb.
    """

    image: Tensor
    g_factor: Tensor
    acceleration: int


@options
class SENSE(Method):
    """The least-squares image of every R-th line, exact and without iterations;
    Tikhonov-regularised where `weight` is positive.

    Calibration lines about the centre that are not on the comb of every R-th line are left out.
    InputError for a mask without a comb.
    """

    weight: NonNegative = option(
        0.0, "of ||x||^2 beside ||A x - y||^2, as for cg-sense; 0 gives the pseudo-inverse"
    )

    takes: ClassVar[Takes] = LINES

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x) that holds every R-th
        line.
        """
        return Outcome(self.unfold(kspace, A).image)

    @torch.no_grad()
    def unfold(self, kspace: Tensor, A: LinearOperator) -> Unfolded:
        """The image with its g-factor map.

        g_factor: standard deviation of white noise in the image over sqrt(R) times that of the
        fully sampled image, R = acceleration: sqrt([(E^H E)^-1]_rr [E^H E]_rr), 1 where nothing is
        amplified, below 1 where `weight` holds noise back, and 0 where the coil maps are zero.
        """
        if not isinstance(A, CartesianOperator):
            raise InputError(
                f"A: {type(A).__name__} given; SENSE unfolds lines of a Cartesian grid; use"
                " cg-sense"
            )
        acceleration, first = comb(A.mask)
        width = kspace.shape[-1]
        kept = torch.zeros_like(kspace)
        kept[..., first::acceleration] = kspace[..., first::acceleration]
        # Every acceleration-th pixel set repeats: the first part of the aliased image holds all
        # that was measured.
        folded = ifft2c(kept)[..., : width // acceleration]
        encoding = self._encoding(kspace, A, acceleration, first)
        gram = encoding.mH @ encoding
        precision = torch.finfo(gram.real.dtype).eps * RANK
        inverse = torch.linalg.pinv(
            gram + _scaled_identity(gram, self.weight / acceleration),
            hermitian=True,
            rtol=precision,
        )
        unfolding = inverse @ encoding.mH
        image = (unfolding @ folded.movedim(1, -1).unsqueeze(-1)).squeeze(-1)
        # Noise of the measured samples is independent, and so is that of folded pixels and coils.
        variance = unfolding.abs().square().sum(-1) * gram.diagonal(dim1=-2, dim2=-1).real
        return Unfolded(_in_place(image), _in_place(variance.sqrt()), acceleration)

    def _encoding(
        self, kspace: Tensor, A: CartesianOperator, acceleration: int, first: int
    ) -> Tensor:
        """What each of the folded pixels adds to each coil, complex (batch | 1, y, x / R, coil, R).

        Leaving out lines adds copies moved by r x / R pixels, with the phase that the comb's
        position gives them.
        """
        height, width = kspace.shape[-2:]
        maps = (
            kspace.new_ones(1, 1, height, width)
            if A.coil_maps is None
            else A.coil_maps.to(kspace.dtype)
        )
        copies = maps.expand(-1, -1, height, width).unflatten(
            -1, (acceleration, width // acceleration)
        )
        turns = (
            torch.arange(acceleration, device=kspace.device) * (width // 2 - first) % acceleration
        )
        phases = torch.exp(2j * torch.pi * turns.to(torch.float64) / acceleration).to(kspace.dtype)
        return (copies * phases[:, None] / acceleration).permute(0, 2, 4, 1, 3)


def comb(mask: Tensor) -> tuple[int, int]:
    """(R, first): the smallest R that divides the width, with every R-th line from `first` on
    measured, and no others but at the centre.

    mask: bool, (x,) or (batch | 1, 1, 1, x). InputError for a mask of points, masks that differ in
        a batch, or a mask without a comb.
    """
    width = mask.shape[-1]
    masks = mask.reshape(-1, width).cpu()
    if (mask.ndim > 1 and mask.shape[-2] != 1) or not (masks == masks[0]).all():
        raise InputError(
            f"mask: shape {tuple(mask.shape)} given; SENSE unfolding needs one mask of whole lines"
            " for all; use cg-sense"
        )
    lines = masks[0]
    # What an irregular mask measures elsewhere would be thrown away, and some sparse comb can be
    # found in almost any mask.
    elsewhere = lines.clone()
    elsewhere[_central_block(lines)] = False
    for step in (step for step in range(1, width) if width % step == 0):
        for first in lines.reshape(-1, step).all(0).nonzero().flatten().tolist():
            if int(elsewhere.sum()) == int(elsewhere[first::step].sum()):
                return step, first
    raise InputError(
        f"mask: {int(lines.sum())} of {width} lines are no comb, every R-th line with R a divisor"
        f" of {width} (calibration lines aside); use cg-sense"
    )


def _central_block(lines: Tensor) -> slice:
    """The run of measured lines about the centre; empty where the central line is not measured."""
    start = stop = len(lines) // 2
    while start > 0 and bool(lines[start - 1]) and bool(lines[len(lines) // 2]):
        start -= 1
    while stop < len(lines) and bool(lines[stop]):
        stop += 1
    return slice(start, stop)


def _scaled_identity(gram: Tensor, weight: float) -> Tensor:
    return weight * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)


def _in_place(pixels: Tensor) -> Tensor:
    """Folded pixels back where they belong: (batch, y, x / R, R) to (batch, y, x)."""
    return pixels.movedim(-1, -2).flatten(-2)
