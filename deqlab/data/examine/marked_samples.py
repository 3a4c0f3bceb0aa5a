"""The mask marks what was measured: samples and marks lie in the same places."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from deqlab.core.options import NonNegative, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import GridVolume, Volume


@options
class MarkedSamples(Check):
    """Zeros where the mask claims samples are a contradiction; samples that it leaves out are one
    only where k-space is not full, as it is when a mask undersamples it in retrospect.
    """

    of: ClassVar[type[Any]] = GridVolume
    allowed: NonNegative = option(
        0.05, "share of zeros among the marked samples, within the box that samples fill"
    )

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """What lies elsewhere than marked."""
        assert isinstance(volume, GridVolume)
        if not seen.zeros_tell:
            return
        rows, columns = volume.shape[-2:]
        acquired = np.zeros(columns, bool)
        acquired[slice(*(volume.acquired or (0, columns)))] = True
        mask = acquired if volume.mask is None else acquired & volume.mask
        marked = np.broadcast_to(mask, (rows, columns))
        outside = bool((seen.sampled & ~marked).any())
        if volume.mask is not None:
            claimed = marked[seen.box]
            empty = claimed & ~seen.sampled[seen.box]
            share = float(empty.sum() / max(claimed.sum(), 1))
            full = seen.zeros_in_box <= self.allowed
            lines = _whole_lines(empty, claimed)
            if share > self.allowed or (lines and outside and not full):
                yield Finding(
                    Severity.REFUSAL,
                    "kspace and mask contradict each other: samples that the mask marks as"
                    " measured are zero" + (", others are not" if outside else ""),
                    _explained(seen.sampled, marked, volume.mask)
                    or "a mask of what was measured needed",
                )
                return
            if lines:
                yield Finding(
                    Severity.WARNING,
                    "the mask marks whole lines that hold only zeros",
                    "they are taken as measured; leave them out of the mask",
                )
        if outside:
            place = "acquired columns" if volume.mask is None else "mask"
            yield Finding(
                Severity.WARNING if volume.mask is None else Severity.NOTE,
                f"kspace holds samples outside the {place}",
                "they are not used",
            )


def _whole_lines(empty: np.ndarray, claimed: np.ndarray) -> bool:
    """Whether all that is claimed of some row or column is empty."""
    return any(
        bool((claimed.any(axis) & (empty.sum(axis) == claimed.sum(axis))).any()) for axis in (0, 1)
    )


def _explained(sampled: np.ndarray, marked: np.ndarray, mask: np.ndarray) -> str:
    """What would make the two agree, in words; nothing where neither a shift nor an exchange of
    axes does.
    """
    rows, columns = np.asarray(sampled.any(1)), np.asarray(sampled.any(0))
    if mask.ndim == 1 and len(mask) == len(rows) and not rows.all() and _agree(rows, mask):
        return "the mask fits the rows; rows are the readout, columns the phase encoding"
    if mask.ndim == 2 and mask.shape == mask.T.shape and _agree(sampled, mask.T):
        return "the mask fits with its rows and columns exchanged"
    for step in sorted(range(-len(columns) // 2, len(columns) // 2), key=abs):
        if step and _agree(sampled, np.roll(marked, step, 1)):
            return f"the mask fits when it is moved by {step} columns"
    for step in sorted(range(-len(rows) // 2, len(rows) // 2), key=abs):
        if step and mask.ndim == 2 and _agree(sampled, np.roll(marked, step, 0)):
            return f"the mask fits when it is moved by {step} rows"
    return ""


def _agree(sampled: np.ndarray, marked: np.ndarray) -> bool:
    """Whether two patterns are alike, but for a sample in a thousand."""
    return bool((sampled != marked).mean() < 1e-3)
