"""When is a sample done? The residual as a number, relative or absolute, and the smallest one that
a precision can reach.
"""

import sys
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.solvers.products import exact_norm, norm
from deqlab.solvers.protocol import Criterion

# Lengths whose squares single precision holds with room to spare.
SAFE = (1e-15, 1e15)


@dataclass(frozen=True)
class RelativeResidual:
    """||f(x) - x|| / ||f(x)|| per sample: the same for an image in any unit."""

    def __call__(self, size: float, length: float) -> float:
        """The residual from ||f(x) - x|| and ||f(x)||."""
        return size / max(length, sys.float_info.min)

    def smallest(self, dtype: torch.dtype) -> float:
        """The smallest tolerance above rounding: the spacing of numbers at 1."""
        return torch.finfo(dtype).eps


@dataclass(frozen=True)
class AbsoluteResidual:
    """||f(x) - x|| per sample, in the units of x: for a state whose scale is known, or whose fixed
    point may be 0.
    """

    def __call__(self, size: float, length: float) -> float:
        """The residual from ||f(x) - x|| and ||f(x)||."""
        return size

    def smallest(self, dtype: torch.dtype) -> float:
        """The smallest positive number: what rounding allows depends on the scale of x."""
        return torch.finfo(dtype).tiny


def lengths(g: Tensor, f: Tensor) -> tuple[list[float], list[float]]:
    """||g|| and ||f|| per sample of (batch, n), to about 1e-7 in float32 and exactly in float64,
    with one transfer from the device.

    Where a square may have left the range of single precision, both are taken again in double
    precision.
    """
    sizes, norms = torch.stack((norm(g), norm(f))).tolist()
    if g.dtype != torch.float64 and not all(SAFE[0] < value < SAFE[1] for value in sizes + norms):
        sizes, norms = torch.stack((exact_norm(g), exact_norm(f))).tolist()
    return sizes, norms


def per_sample_tolerance(
    tolerance: float | Tensor, batch: int, criterion: Criterion, dtype: torch.dtype
) -> list[float]:
    """One tolerance a sample. InputError where one is negative, NaN, or positive and below what
    `dtype` can reach.

    0 is allowed: no residual but an exact zero passes, so it spends the budget.
    """
    values = _per_sample("tolerance", tolerance, batch)
    smallest = criterion.smallest(dtype)
    for value in values:
        if not value >= 0:
            raise InputError(f"tolerance: {value} given, a number >= 0 needed")
        if 0 < value < smallest:
            precision = str(dtype).removeprefix("torch.")
            raise InputError(
                f"tolerance: {value:g} given, but rounding hides a residual below {smallest:.2g} in"
                f" a {precision} state; at least that is needed, or a finer dtype, or 0 to spend"
                " the whole budget"
            )
    return values


def per_sample_budget(max_evaluations: int | Tensor, batch: int) -> list[int]:
    """One budget a sample. InputError where one is below 1 or no whole number."""
    values = _per_sample("max_evaluations", max_evaluations, batch)
    for value in values:
        if not value >= 1:
            raise InputError(f"max_evaluations: {value} given, at least 1 needed")
        if value % 1 != 0:
            raise InputError(f"max_evaluations: {value} given, a whole number needed")
    return [int(value) for value in values]


def _per_sample(name: str, value: float | Tensor, batch: int) -> list[float]:
    if not isinstance(value, (Real, Tensor)):
        raise InputError(
            f"{name}: {type(value).__name__} given, a number or a tensor of shape ({batch},) needed"
        )
    if not isinstance(value, Tensor) or value.ndim == 0:
        return [value if not isinstance(value, Tensor) else value.item()] * batch
    if value.shape != (batch,):
        raise InputError(
            f"{name}: a tensor of shape {tuple(value.shape)} given, a number or shape ({batch},)"
            " needed"
        )
    return value.tolist()
