"""Few exponentials that stand for all: exp(-2 pi i f t) over a range of frequencies and times as a sum of time segments.

exp(-2 pi i f t) ~ sum over l of b_l(t) exp(-2 pi i f tau_l), with the interpolators b that are best in least squares over the frequencies.
Source: B. P. Sutton, D. C. Noll, J. A. Fessler, Fast, iterative image reconstruction for MRI in the presence of field inhomogeneities, IEEE
Trans. Med. Imaging 22 (2003). The tau_l here are Chebyshev nodes, not equidistant ones: at 150 Hz and 20 ms that saves a segment or two.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.errors import InputError

# Directions of the least-squares problem below this, relative to the largest, are rounding noise.
NOISE = 1e-13
MOST = 512


@dataclass(frozen=True)
class Segments:
    """nodes: tau_l in seconds, float64 (L,). interpolators: b_l at the samples, complex128 (L, *times). error: the largest one found."""

    nodes: Tensor
    interpolators: Tensor
    error: float


def time_segments(times: Tensor, low: float, high: float, tolerance: float, count: int | None = None) -> Segments:
    """Segments whose error is at most `tolerance` for every frequency from `low` to `high` Hz and every one of the `times` in seconds.

    count: so many segments, whatever their error; where None, as few as the tolerance allows. Raises InputError where more than 512 were needed.
    """
    first, last = float(times.min()), float(times.max())
    cycles = (high - low) * (last - first)
    frequencies = torch.linspace(low, high, 33 + 8 * math.ceil(cycles), dtype=torch.float64)
    watched = _exponential(torch.linspace(first, last, 65 + 16 * math.ceil(cycles), dtype=torch.float64), frequencies)
    # Fewer segments than cycles cannot do.
    for trial in (count,) if count is not None else range(max(1, math.floor(cycles)), MOST + 1):
        nodes = _chebyshev(first, last, trial)
        basis = _exponential(nodes, frequencies)
        solve = torch.linalg.pinv(basis, rtol=NOISE)
        error = float((watched @ solve @ basis - watched).abs().max())
        if count is not None or error <= tolerance:
            distinct, where = times.to("cpu", torch.float64).unique(return_inverse=True)
            interpolators = torch.cat([_exponential(block, frequencies) @ solve for block in distinct.split(4096)])
            return Segments(nodes, interpolators[where].movedim(-1, 0).contiguous(), error)
    raise InputError(f"{cycles:.0f} turns of phase between {low:g} and {high:g} Hz in {last - first:g} s: more than {MOST} segments needed")


def _exponential(times: Tensor, frequencies: Tensor) -> Tensor:
    return torch.exp(-2j * torch.pi * torch.outer(times, frequencies))


def _chebyshev(first: float, last: float, count: int) -> Tensor:
    angles = torch.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return (first + last) / 2 - (last - first) / 2 * torch.cos(angles)
