"""What the axes of an array are, by name, and how one slice is taken from it.

Names are said in the order in which the array has its axes, such as "slice,coil,y,x":

    y, readout      the rows of an image: the readout
    x, phase        its columns: the phase encoding
    coil            receivers
    slice, time, echo, repetition, set, orientation
                    one after the other, in the order in which they are named, slices of a volume
    average         repeated measurements of the same, of which the mean is taken
    z               phase encoding of a third dimension; a Fourier transform makes slices of it
    spoke, sample   in place of y and x: lines through the centre of k-space
    one             an axis of length 1
    echo=1          any of these, but of it one index alone
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

ALIASES = {
    "row": "y",
    "rows": "y",
    "readout": "y",
    "column": "x",
    "columns": "x",
    "phase": "x",
    "coils": "coil",
    "channel": "coil",
    "slices": "slice",
    "averages": "average",
    "spokes": "spoke",
    "samples": "sample",
}
STACKED = ("slice", "time", "echo", "repetition", "set", "orientation")
NAMES = ("y", "x", "coil", *STACKED, "average", "z", "spoke", "sample", "one")
ONCE = ("y", "x", "coil", "z", "spoke", "sample")
# Complex samples that are held at once, 16 GiB in complex64: an array says in a few bytes how large
# it wants to be.
LARGEST_ARRAY = 2**31


@dataclass(frozen=True)
class Axes:
    """The named axes of an array of a known shape.

    names: of each axis. chosen: of each axis the one index that is taken, None for all.
    """

    names: tuple[str, ...]
    chosen: tuple[int | None, ...]
    sizes: tuple[int, ...]

    @property
    def told(self) -> str:
        """As it is written, such as "slice,coil,y,x"."""
        return ",".join(
            name if at is None else f"{name}={at}" for name, at in zip(self.names, self.chosen)
        )

    @property
    def on_grid(self) -> bool:
        """Whether it has rows and columns, and no spokes."""
        return "sample" not in self.names

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(slices, coils, rows, columns) of the volume, or (slices, coils, samples) of spokes."""
        inner = (self.size("y"), self.size("x"))
        if not self.on_grid:
            inner = (self.size("spoke") * self.size("sample"),)  # type: ignore[assignment]
        return (math.prod(self._stacked.values()) * self.size("z"), self.size("coil"), *inner)

    @cached_property
    def _stacked(self) -> dict[int, int]:
        """Axis -> length of those that are slices, but for z."""
        return {
            axis: self.sizes[axis]
            for axis, name in enumerate(self.names)
            if name in STACKED and self.chosen[axis] is None
        }

    def size(self, name: str) -> int:
        """The length of the axis that is called `name`; 1 where there is none."""
        kept = (n for n, at in zip(self.names, self.chosen) if at is None)
        return self.sizes[self.names.index(name)] if name in kept else 1

    def selector(self, index: int) -> tuple[int | slice, ...]:
        """What of the array has to be read for slice `index` of those beside z."""
        found: list[int | slice] = [slice(None) if at is None else at for at in self.chosen]
        for axis, length in reversed(self._stacked.items()):
            index, found[axis] = divmod(index, length)
        return tuple(found)

    def arranged(self, part: np.ndarray) -> np.ndarray:
        """What was read by a selector as (coil, row, column), (z, coil, row, column) where there is
        a z, or (coil, samples).
        """
        left = [
            name
            for axis, name in enumerate(self.names)
            if self.chosen[axis] is None and axis not in self._stacked
        ]
        means = tuple(axis for axis, name in enumerate(left) if name == "average")
        if means:
            part, left = part.mean(means), [name for name in left if name != "average"]
        inner = ["y", "x"] if self.on_grid else ["spoke", "sample"]
        for name in ("coil", *inner):
            if name not in left:
                part, left = part[..., None], [*left, name]
        ones = tuple(axis for axis, name in enumerate(left) if name == "one")
        part, left = part.squeeze(ones), [name for name in left if name != "one"]
        order = [*(["z"] if "z" in left else []), "coil", *inner]
        part = part.transpose([left.index(name) for name in order])
        return part if self.on_grid else part.reshape(len(part), -1)


def parse_axes(text: str, shape: tuple[int, ...], path: Path, what: str = "array") -> Axes:
    """The axes that `text` names, of an array of `shape`; InputError for names that do not fit."""
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) != len(shape):
        raise InputError(
            f"{path}: --axes {text} names {len(words)} axes, the {what} has {len(shape)},"
            f" {times(shape)}"
        )
    names, chosen = [], []
    for word, length in zip(words, shape, strict=True):
        name, equals, at = word.partition("=")
        name = ALIASES.get(name, name)
        if name not in NAMES:
            known = ", ".join((*NAMES, *ALIASES))
            raise InputError(f"--axes: {name!r} given{nearest(name, NAMES)}; one of {known} needed")
        if equals and not (at.isdecimal() and len(at) < 10 and int(at) < length):
            raise InputError(
                f"{path}: --axes {word}: a whole number from 0 to {length - 1} needed after ="
            )
        if name == "one" and length != 1 and not equals:
            raise InputError(
                f"{path}: --axes calls an axis of length {length} `one`; one=0 would take its first"
            )
        names.append(name)
        chosen.append(int(at) if equals else None)
    _check(names, text, path)
    if 0 in shape:
        raise InputError(f"{path}: the {what} has shape {times(shape)}; no axis may be empty")
    return Axes(tuple(names), tuple(chosen), tuple(int(length) for length in shape))


def _check(names: list[str], text: str, path: Path) -> None:
    for name in ONCE:
        if names.count(name) > 1:
            raise InputError(f"{path}: --axes {text} names {name} twice")
    grid, spokes = ({"y", "x"} <= set(names)), "sample" in names
    if spokes and {"y", "x", "z"} & set(names):
        raise InputError(f"{path}: --axes {text}: spoke and sample stand in place of y and x")
    if not grid and not spokes:
        raise InputError(f"{path}: --axes {text}: y and x needed, or spoke and sample")


def guessed_axes(shape: tuple[int, ...], path: Path, what: str = "array") -> tuple[Axes, str]:
    """(axes, what was taken for granted) of complex k-space of `shape`; InputError, with what to
    say, where it could be several things.
    """
    text = _guess(shape)
    if text is None:
        raise InputError(
            f"{path}: the {what} of {times(shape)} could be several things; name its axes, such as"
            f" --axes {','.join(('slice', 'coil', 'y', 'x')[-max(len(shape), 2) :])}"
        )
    note = f"axes of {times(shape)} taken as {text}, by their lengths; --axes says otherwise"
    return parse_axes(text, shape, path, what), note


def _guess(shape: tuple[int, ...]) -> str | None:
    """Names by lengths: an image has the two last axes, and they are longer than coils are many."""
    if len(shape) == 2 and min(shape) > 1:
        return "y,x"
    if len(shape) not in (3, 4) or shape[-3] > 64 or 2 * shape[-3] > min(shape[-2:]):
        return None
    return "coil,y,x" if len(shape) == 3 else "slice,coil,y,x"


def times(shape: tuple[int, ...]) -> str:
    """Such as 8x230x180."""
    return "x".join(map(str, shape)) or "no axes"


def complex_kind(kind: np.dtype, path: Path, what: str) -> None:
    """InputError unless samples are complex numbers."""
    if kind.kind != "c":
        raise InputError(
            f"{path}: {what} is {kind}; k-space is complex (--image takes real values as the"
            " magnitudes of an image, and emulates its k-space)"
        )


def fits_memory(shape: tuple[int, ...], path: Path, what: str) -> None:
    """InputError where an array that has to be read whole is larger than is held."""
    if math.prod(shape) > LARGEST_ARRAY:
        raise InputError(
            f"{path}: {what} declares {times(shape)} samples; at most {LARGEST_ARRAY} are held at"
            " once"
        )
