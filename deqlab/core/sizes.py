"""Named sizes: one word that stands for several options.

    class UNetOptions(Options):
        widths: ...
        sizes: ClassVar[Sizes] = {"published": {"widths": (16, 32, 64, 128)}}

`--set size=published`, and `--set denoiser.size=published` where the options stand inside others,
is then short for `--set widths=16,32,64,128`. What is written beside it counts more, in whatever
order: `size=published depth=3`. Options know their fields only; a card never holds the word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

Sizes = Mapping[str, Mapping[str, Any]]

# The word of the shell that chooses one.
SIZE = "size"


class Sized:
    """Options that may have named sizes: for each of these names, values of some fields."""

    sizes: ClassVar[Sizes] = {}


def sizes_of(kind: type) -> Sizes:
    """The named sizes of a class of options; none where it is not `Sized`."""
    return kind.sizes if issubclass(kind, Sized) else {}


def spelled_out(kind: type, words: Mapping[str, Any]) -> dict[str, Any]:
    """The words with those that a size stands for in place of `size`; InputError for a size that
    there is not, naming the nearest one.
    """
    sizes = sizes_of(kind)
    if not sizes or SIZE not in words:
        return dict(words)
    chosen, rest = words[SIZE], {name: word for name, word in words.items() if name != SIZE}
    if chosen not in list(sizes):
        listed = ", ".join(sizes)
        raise InputError(
            f"{SIZE}: unknown size {chosen!r}{nearest(chosen, sizes)}; valid: {listed}"
        )
    return {**sizes[chosen], **rest}


def page_of_sizes(kind: type, prefix: str = "") -> list[str]:
    """The lines that explain the sizes of a class; none where it has none."""
    lines = [f"{prefix}{SIZE}: several options at once"] if sizes_of(kind) else []
    for name, values in sizes_of(kind).items():
        lines.append(f"    {name}: {', '.join(f'{key}={value}' for key, value in values.items())}")
    return lines
