"""Readouts of a scanner, each with its counters, as a volume on the grid.

What a scanner writes is one readout after the other. Here each is put at its line and partition,
repeated ones are averaged, the readout's oversampling is taken off, and each slice is read when it
is asked for. Of a third dimension of phase encoding slices are made by a Fourier transform: along
it where every partition holds the same lines, and along the readout otherwise, so that the
undersampled plane is kept.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deqlab.core.errors import InputError
from deqlab.data.formats.array_volume import through
from deqlab.data.formats.axes import fits_memory
from deqlab.data.formats.fastmri_fields import LARGEST_SLICE
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.formats.samples import finite

# The readouts of these numbers, complex (coil, samples) each, in the order of acquisition.
Readouts = Callable[[Sequence[int]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Lines:
    """The readouts of the image itself, one entry each, int (n,).

    number: in the file. line, partition: along the two phase encodings, as the scanner counts.
    stack: which image it belongs to, from 0 on. centre: sample of the echo. reverse: bool, read
    backwards. before, after: samples to be left out at either end.
    """

    number: np.ndarray
    line: np.ndarray
    partition: np.ndarray
    stack: np.ndarray
    centre: np.ndarray
    reverse: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Frame:
    """Where readouts belong. samples: of a readout. read: rows of the encoded matrix, oversampled
    `factor` times. columns, partitions: encoded. line, plane: the counters of the middle ones.
    """

    coils: int
    samples: int
    read: int
    factor: int
    columns: int
    partitions: int
    line: int
    plane: int

    @property
    def rows(self) -> int:
        """Without the oversampling."""
        return self.read // self.factor


@dataclass(frozen=True, kw_only=True)
class RawVolume(GridVolume):
    """Readouts in their place. along: None for images of two dimensions, "z" where slices come from
    partitions, "y" where they come from the readout. whiten: complex (coil, coil), or None.
    """

    lines: Lines
    frame: Frame
    readouts: Readouts
    along: str | None = None
    whiten: np.ndarray | None = None
    held: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def kspace(self, index: int) -> np.ndarray:
        """k-space of slice `index`, complex64 (coil, row, column)."""
        if self.along is None:
            samples = self._stack(index)[:, 0]
        else:
            depth = self.frame.partitions if self.along == "z" else self.frame.rows
            stack, at = divmod(index, depth)
            if stack not in self.held:
                self.held.clear()  # one stack at a time
                volume = self._stack(stack)
                # (coil, partition, row, column); slices come first.
                axis = 1 if self.along == "z" else 2
                self.held[stack] = np.moveaxis(through(volume, axis), axis, 0)
            samples = self.held[stack][at]
        return finite(np.ascontiguousarray(samples), "kspace", self.path, index)

    def _stack(self, stack: int) -> np.ndarray:
        """The samples of one image, complex64 (coil, partition, row, column)."""
        frame, lines = self.frame, self.lines
        own = np.flatnonzero(lines.stack == stack)
        total = np.zeros((frame.coils, frame.partitions, frame.rows, frame.columns), np.complex64)
        count = np.zeros((frame.partitions, frame.columns), int)
        for at, readout in zip(own, self.readouts(lines.number[own].tolist())):
            if readout.shape != (frame.coils, frame.samples):
                raise InputError(
                    f"{self.path}: readout {lines.number[at]} has {readout.shape[0]} coils of"
                    f" {readout.shape[1]} samples, others {frame.coils} of {frame.samples}"
                )
            place = place_of(lines, frame, at)
            total[:, place[0], :, place[1]] += self._placed(readout, int(at))
            count[place] += 1
        total /= np.maximum(count, 1)[:, None, :]
        if self.whiten is not None:
            total = np.einsum("cd,dzyx->czyx", self.whiten.astype(np.complex64), total)
        return total

    def _placed(self, readout: np.ndarray, at: int) -> np.ndarray:
        """One readout as complex (coil, row): its echo in the middle, without oversampling."""
        frame, lines = self.frame, self.lines
        centre, samples = int(lines.centre[at]), np.array(readout)
        samples[:, : lines.before[at]] = 0
        samples[:, frame.samples - lines.after[at] :] = 0
        if lines.reverse[at]:
            samples, centre = samples[:, ::-1], frame.samples - 1 - centre
        if frame.samples != frame.read or centre != frame.read // 2:
            full = np.zeros((frame.coils, frame.read), samples.dtype)
            first = frame.read // 2 - centre
            start, stop = max(first, 0), min(first + frame.samples, frame.read)
            full[:, start:stop] = samples[:, start - first : stop - first]
            samples = full
        return less_oversampled(samples, frame.rows)


def place_of(lines: Lines, frame: Frame, at: Any) -> tuple[Any, Any]:
    """(partition, column) of readouts in the encoded matrix."""
    return (
        lines.partition[at] - frame.plane + frame.partitions // 2,
        lines.line[at] - frame.line + frame.columns // 2,
    )


def less_oversampled(samples: np.ndarray, rows: int) -> np.ndarray:
    """k-space (..., rows) of the middle of the field of view that `samples` see."""
    many = samples.shape[-1]
    if many == rows:
        return samples
    first = many // 2 - rows // 2
    image = through(samples, -1)[..., first : first + rows]
    back = np.fft.fft(np.fft.ifftshift(image, -1), axis=-1, norm="ortho")
    return np.fft.fftshift(back, -1)


def raw_volume(
    path: Path, lines: Lines, frame: Frame, readouts: Readouts, notes: list[str], **facts: Any
) -> RawVolume:
    """The volume of some readouts. Raises InputError for readouts outside of the matrix."""
    if not len(lines.number):
        raise InputError(f"{path}: holds no readout of an image")
    fits_memory((frame.coils, frame.partitions, frame.read, frame.columns), path, "an image")
    partition, column = place_of(lines, frame, slice(None))
    for what, places, length in (
        ("line", column, frame.columns),
        ("partition", partition, frame.partitions),
    ):
        if places.min() < 0 or places.max() >= length:
            raise InputError(
                f"{path}: its header places {what}s {places.min()} to {places.max()} in a matrix of"
                f" {length}"
            )
    stacks = int(lines.stack.max()) + 1
    sampled = np.zeros((stacks, frame.partitions, frame.columns), bool)
    sampled[lines.stack, partition, column] = True
    along, mask, acquired = None, None, (0, frame.columns)
    shape: tuple[int, int, int, int] = (stacks, frame.coils, frame.rows, frame.columns)
    if not (sampled == sampled[:1]).all():
        notes.append("its images measure different lines; what any of them measures is the mask")
    measured: np.ndarray = np.asarray(sampled.any(0))
    full: np.ndarray = np.asarray(measured.any(0))
    if (
        frame.partitions > 1
        and (measured[np.asarray(measured.any(1))] == full).all()
        and measured.any(1).all()
    ):
        along = "z"
        shape = (stacks * frame.partitions, frame.coils, frame.rows, frame.columns)
        notes.append(f"{frame.partitions} partitions become slices by a Fourier transform")
    elif frame.partitions > 1:
        along, mask = "y", None if measured.all() else measured
        shape = (stacks * frame.rows, frame.coils, frame.partitions, frame.columns)
        notes.append(
            "undersampled along both phase encodings: slices are taken along the readout, rows are"
            " partitions"
        )
    if along != "y":
        where = np.flatnonzero(full)
        if full[where[0] : where[-1] + 1].all():
            acquired = (int(where[0]), int(where[-1]) + 1)
        else:
            mask = full
    if math.prod(shape[1:]) > LARGEST_SLICE:
        raise InputError(f"{path}: slices of {shape[1:]}; at most {LARGEST_SLICE} samples are read")
    if along == "y":
        voxel = facts.get("voxel", (None,) * 3)
        facts["voxel"] = (voxel[1], voxel[0], voxel[2])
    return RawVolume(
        path=path,
        shape=shape,
        recon_shape=shape[2:],
        mask=mask,
        acquired=None if acquired == (0, frame.columns) else acquired,
        lines=lines,
        frame=frame,
        readouts=readouts,
        along=along,
        notes=tuple(notes),
        **facts,
    )


def whitening(noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(covariance, complex (coil, coil) that makes coils white) of noise samples, complex (coil,
    n); the mean variance of coils stays what it was.
    """
    covariance = noise @ noise.conj().T / noise.shape[1]
    unit = float(np.trace(covariance).real) / len(covariance)
    lower = np.linalg.cholesky(covariance / unit + 1e-9 * np.eye(len(covariance)))
    return covariance, np.linalg.inv(lower)


def numbered(*counters: np.ndarray) -> np.ndarray:
    """Which of the combinations of counters each readout has, from 0 on, in their order."""
    found: np.ndarray = np.unique(np.stack(counters, -1), axis=0, return_inverse=True)[1]
    return found.reshape(-1)
