"""k-space of the Berkeley Advanced Reconstruction Toolbox: a header of text and a file of samples.

NAME.hdr has the lengths of up to 16 dimensions in the line after "# Dimensions", NAME.cfl as many
complex64 samples, the first dimension changing fastest. k-space has the dimensions READ, PHS1,
PHS2, COIL, MAPS, TE, COEFF, COEFF2, ITER, CSHIFT, TIME, TIME2, LEVEL, SLICE, AVG, BATCH; either
file names the pair.
Source: https://mrirecon.github.io/bart/ and its README, "Data format".
"""

import math
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.data.formats.array_volume import array_volume
from deqlab.data.formats.axes import Axes, parse_axes, times
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.spokes import EXPLAINED, Spokes

MARK = "# Dimensions"
LARGEST_TEXT = 65_536
# What the dimensions of k-space are called here; those that have no name must be of length 1.
DIMENSIONS = ("y", "x", "z", "coil", "set", "echo", *["set"] * 4, "time", "repetition", "set")
DIMENSIONS = (*DIMENSIONS, "slice", "average", "set")
RADIAL = ("one", "sample", "spoke", *DIMENSIONS[3:])


@options
class BartFiles:
    """Pairs of .hdr and .cfl."""

    suffixes: ClassVar[tuple[str, ...]] = (".cfl",)
    axes: str = option(
        "", "names of BART's dimensions, in place of y,x,z,coil,... (READ PHS1 PHS2 COIL ...)"
    )
    spokes: Spokes | None = option(None, EXPLAINED)
    matrix: Count | None = option(None, "pixels a side of the image (default: samples of a spoke)")

    def recognises(self, path: Path) -> bool:
        """Whether the header of the pair begins as such headers do."""
        header = path.with_suffix(".hdr")
        if path.suffix not in (".cfl", ".hdr"):
            return False
        if not header.is_file():
            raise InputError(f"{header}: missing; {path.name} does not say its own dimensions")
        with header.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()

    def open(self, path: str | Path) -> Volume:
        """The facts of the pair; InputError where header and samples do not fit."""
        path = Path(path)
        header, samples = path.with_suffix(".hdr"), path.with_suffix(".cfl")
        _, size = stamp(samples)
        dimensions = _dimensions(header)
        needed = 8 * math.prod(dimensions)
        if needed != size:
            raise InputError(
                f"{samples}: {size} bytes, but {header.name} says {times(dimensions)} complex64"
                f" samples, {needed} bytes"
            )
        return array_volume(
            path,
            self._axes(dimensions, path),
            partial(_part, samples, dimensions),
            spokes=self.spokes,
            matrix=self.matrix,
        )

    def _axes(self, dimensions: tuple[int, ...], path: Path) -> Axes:
        if self.axes:
            return parse_axes(self.axes, dimensions, path, "file")
        names = RADIAL if self.spokes else DIMENSIONS
        # Lengths of 1 are of no kind, but for the two of an image or spoke.
        inner = ("y", "x", "spoke", "sample")
        text = ",".join(
            name if length > 1 or name in inner else "one"
            for name, length in zip(names, dimensions)
        )
        if dimensions[:1] == (1,) and math.prod(dimensions[1:3]) > 1 and not self.spokes:
            raise InputError(
                f"{path}: {times(dimensions)} with a first dimension of 1 looks like samples off"
                " the grid; say the angles of its spokes, --spokes golden, or its --axes"
            )
        return parse_axes(text, dimensions, path, "file")


def _dimensions(header: Path) -> tuple[int, ...]:
    """The lengths that the header states, at least four, without trailing ones."""
    stamp(header)
    with header.open("rb") as file:
        lines = file.read(LARGEST_TEXT).decode(errors="replace").splitlines()
    words = lines[1].split() if len(lines) > 1 and lines[0].startswith(MARK) else []
    if not words or not all(word.isdecimal() and len(word) < 10 for word in words):
        raise InputError(f"{header}: no lengths in the line after {MARK!r}; whole numbers needed")
    lengths = [int(word) for word in words]
    if 0 in lengths or len(lengths) > len(DIMENSIONS):
        raise InputError(
            f"{header}: dimensions {times(tuple(lengths))[:60]}; at most {len(DIMENSIONS)} lengths"
            " of 1 or more needed"
        )
    while len(lengths) > 2 and lengths[-1] == 1:
        lengths.pop()
    return tuple(lengths)


def _part(path: Path, shape: tuple[int, ...], part: tuple[int | slice, ...]) -> np.ndarray:
    return np.array(np.memmap(path, np.complex64, "r", shape=shape, order="F")[part])
