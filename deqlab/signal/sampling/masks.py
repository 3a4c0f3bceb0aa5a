"""Which phase-encode lines are measured: random and equispaced masks with a fully sampled centre.

Conventions of the fastMRI challenge (Zbontar et al., fastMRI: an open dataset and benchmarks for
accelerated MRI, arXiv:1811.08839, section 4.9): a share `center_fraction` of the lines is kept
about the zero frequency, the rest is thinned until one line in `acceleration` remains.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Number, options, required
from deqlab.core.registry import Registry


@options
class RandomMask:
    """Each line outside the centre is kept with the one probability that gives `acceleration` on
    average.
    """

    acceleration: Number = required("how many times fewer lines, 1 or more")
    center_fraction: Number = required("share of the lines kept about the zero frequency")

    def __post_init__(self) -> None:
        _check(self)

    def sample(self, width: int, seed: int) -> Tensor:
        """The mask of one draw: bool (width,), True where a line is measured; the same for the same
        `seed`."""
        lines = _center_lines(_fits(width, self.acceleration), self.center_fraction)
        outside = width - lines
        # The centre is in the mask anyway, so the other lines alone have to bring the count to
        # width / acceleration.
        probability = (width / self.acceleration - lines) / outside if outside else 0.0
        draw = torch.rand(width, generator=_generator(seed), dtype=torch.float64)
        return (draw < probability) | _center_block(width, lines)


@options
class EquispacedMask:
    """round(width / acceleration) lines exactly: the centre, and the rest at equal distances with a
    random start.

    The published equispaced masks add the centre to every acceleration-th line and so measure more
    than was asked.
    Here the distance is stretched over the lines outside the centre until the count is right.
    """

    acceleration: Number = required("how many times fewer lines, 1 or more")
    center_fraction: Number = required("share of the lines kept about the zero frequency")

    def __post_init__(self) -> None:
        _check(self)

    def sample(self, width: int, seed: int) -> Tensor:
        """The mask of one draw: bool (width,), True where a line is measured; the same for the same
        `seed`."""
        lines = _center_lines(_fits(width, self.acceleration), self.center_fraction)
        mask = _center_block(width, lines)
        outside = torch.nonzero(~mask).flatten()
        count = min(max(round(width / self.acceleration) - lines, 0), len(outside))
        if count:
            start = torch.rand((), generator=_generator(seed), dtype=torch.float64)
            steps = torch.floor(
                (torch.arange(count, dtype=torch.float64) + start) * (len(outside) / count)
            )
            mask[outside[steps.long()]] = True
        return mask


class MaskRule(Protocol):
    """What draws masks: RandomMask, EquispacedMask, or anything of the kind."""

    def sample(self, width: int, seed: int) -> Tensor:
        """A mask, bool (width,), that depends on the arguments alone."""


MASKS: Registry[MaskRule] = Registry("mask", {"random": RandomMask, "equispaced": EquispacedMask})


def mask_rules(
    kinds: Sequence[str], accelerations: Sequence[float], center_fraction: float | None = None
) -> list[MaskRule]:
    """One mask rule for every pair of a kind and an acceleration; the centre fraction follows the
    acceleration where None.
    """
    return [
        MASKS.make(
            kind,
            acceleration,
            default_center_fraction(acceleration) if center_fraction is None else center_fraction,
        )
        for kind in kinds
        for acceleration in accelerations
    ]


def default_center_fraction(acceleration: float) -> float:
    """The share of lines that fastMRI keeps in the centre: 0.08 at 4x, 0.04 at 8x, 0.32 /
    acceleration in general. InputError for an acceleration that is no number of 1 or more."""
    return 0.32 / _checked_acceleration(acceleration)


def seed_from_name(name: str) -> int:
    """A seed in [0, 2^32) that depends on `name` alone, the same in every process and on every
    machine.

    Evaluation seeds the mask with the file's name, so that all slices of a volume, and all methods,
    share one mask.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def calibration_lines(mask: Tensor, minimum: int = 2) -> slice:
    """The contiguous measured lines that contain the zero frequency (index width // 2).

    mask: bool (width,). InputError when fewer than `minimum` lines are there: a lone centre line of
    a mask without calibration block says nothing about how coil sensitivities vary.
    """
    if mask.ndim != 1:
        raise InputError(f"mask: shape {tuple(mask.shape)} given, (columns,) needed")
    measured = mask.bool().tolist()
    start = stop = len(measured) // 2
    while start > 0 and measured[start - 1]:
        start -= 1
    while stop < len(measured) and measured[stop]:
        stop += 1
    if not measured[len(measured) // 2] or stop - start < minimum:
        raise InputError(
            f"mask: no calibration lines about column {len(measured) // 2} of {len(measured)}; "
            f"at least {minimum} neighbouring measured lines are needed there"
        )
    return slice(start, stop)


def _check(mask: RandomMask | EquispacedMask) -> None:
    _checked_acceleration(mask.acceleration)
    if not 0 <= mask.center_fraction <= 1 / mask.acceleration:
        raise InputError(
            f"center_fraction: {mask.center_fraction} given, 0 to {1 / mask.acceleration:.4g} fits "
            f"acceleration {mask.acceleration:g}"
        )


def _checked_acceleration(acceleration: float) -> float:
    if not 1 <= acceleration < math.inf:
        raise InputError(f"acceleration: {acceleration:g} given, a number of 1 or more needed")
    return acceleration


def _fits(width: int, acceleration: float) -> int:
    """The width itself; InputError where not one line in `acceleration` is there."""
    if acceleration > width:
        raise InputError(
            f"acceleration: {acceleration:g} given, {width} columns allow at most {width}"
        )
    return width


def _center_lines(width: int, fraction: float) -> int:
    # Two lines at least, so that a narrow matrix at 8x still has a calibration block.
    return min(width, max(2, round(width * fraction))) if fraction > 0 else 0


def _center_block(width: int, lines: int) -> Tensor:
    start = (width - lines + 1) // 2
    mask = torch.zeros(width, dtype=torch.bool)
    mask[start : start + lines] = True
    return mask


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
