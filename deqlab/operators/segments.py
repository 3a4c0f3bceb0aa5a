"""Few exponentials that stand for all: exp(-2 pi i f t) over a range of frequencies and times as a
sum of time segments.

exp(-2 pi i f t) ~ sum over l of b_l(t) exp(-2 pi i f tau_l), with the interpolators b that are best
in least squares over the frequencies.
Source: B. P. Sutton, D. C. Noll, J. A. Fessler, Fast, iterative image reconstruction for MRI in the
presence of field inhomogeneities, IEEE Trans. Med. Imaging 22 (2003). A departure: the tau_l there
are equidistant, here they crowd towards both ends. At +-150 Hz, 20 ms and an error of 1e-3 that
takes 12 segments for 13, with |b| summing to 3 instead of 25, so that rounding and noise are not
amplified.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError

# Directions of the least-squares problem below this, relative to the largest, are rounding noise.
NOISE = 1e-13
# Turns of phase over all frequencies and times; each needs a segment at least.
MOST = 512


@dataclass(frozen=True)
class Segments:
    """nodes: tau_l in seconds, float64 (L,). interpolators: b_l at the samples, complex128 (L,
    *times). error: the largest one found. asked: the number of segments where the caller chose it,
    None where the tolerance did.
    """

    nodes: Tensor
    interpolators: Tensor
    error: float
    asked: int | None = None


def time_segments(
    times: Tensor, low: float, high: float, tolerance: float, count: int | None = None
) -> Segments:
    """Segments whose error is at most `tolerance` for every frequency from `low` to `high` Hz and
    every one of the `times` in seconds.

    count: so many segments, whatever their error; where None, as few as the tolerance allows.
        Raises InputError above 512 turns.
    """
    first, last = float(times.min()), float(times.max())
    cycles = (high - low) * (last - first)
    if cycles > MOST:
        raise InputError(
            f"field_map and times: {cycles:.0f} turns of phase between {low:g} and {high:g} Hz in"
            f" {last - first:g} s given, {MOST} or fewer needed"
        )
    frequencies = torch.linspace(low, high, 33 + 8 * math.ceil(cycles), dtype=torch.float64)
    watched = _exponential(
        torch.linspace(first, last, 65 + 16 * math.ceil(cycles), dtype=torch.float64), frequencies
    )
    # Fewer segments than cycles cannot do.
    for trial in (count,) if count is not None else range(max(1, math.floor(cycles)), 2 * MOST + 1):
        nodes = _nodes(first, last, trial, cycles)
        basis = _exponential(nodes, frequencies)
        left, values, right = torch.linalg.svd(basis, full_matrices=False)
        kept = values > NOISE * values[0]
        left, values, right = left[:, kept], values[kept], right[kept]

        def interpolate(exponentials: Tensor) -> Tensor:
            # One factor after the other: the pseudo-inverse as one matrix would lose the digits
            # that its small singular values amplify.
            return (exponentials @ right.mH / values) @ left.mH  # noqa: B023

        error = float((interpolate(watched) @ basis - watched).abs().max())
        if count is not None or error <= tolerance:
            distinct, where = times.to("cpu", torch.float64).unique(return_inverse=True)
            interpolators = torch.cat(
                [interpolate(_exponential(block, frequencies)) for block in distinct.split(4096)]
            )
            return Segments(nodes, interpolators[where].movedim(-1, 0).contiguous(), error, count)
    raise InputError(f"tolerance: {tolerance:g} needs more than {2 * MOST} segments")


def _exponential(times: Tensor, frequencies: Tensor) -> Tensor:
    return torch.exp(-2j * torch.pi * torch.outer(times, frequencies))


def _nodes(first: float, last: float, count: int, cycles: float) -> Tensor:
    """Times that crowd towards both ends, as far as those in the middle stay closer than one turn
    of phase over all frequencies.

    sin(a u) / sin(a) at equidistant u in [-1, 1]; neighbours in the middle are a / sin(a) times as
    far apart as the average, about 1 / (1 - a^2 / 6). Without the crowding the coefficients grow
    with the number of turns; with more of it the middle is undersampled.
    """
    if count == 1:
        return torch.tensor([(first + last) / 2], dtype=torch.float64)
    bend = min(1.3, math.sqrt(6 * max(1 - cycles / (count - 1), 1e-6)))
    places = torch.sin(bend * torch.linspace(-1, 1, count, dtype=torch.float64)) / math.sin(bend)
    return (first + last) / 2 + (last - first) / 2 * places
