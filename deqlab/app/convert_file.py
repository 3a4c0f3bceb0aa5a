"""From a file of any known format to one of deqlab's own, with a card that says where it came
from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deqlab.app.reconstruct_file import refuse_same_file
from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import InputError
from deqlab.data.dataset import Slices, choose_slices
from deqlab.data.examine.examined import open_volume
from deqlab.data.formats.array_volume import ArrayVolume, SpokesVolume
from deqlab.data.formats.hdf5 import SUFFIXES
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.registry import FORMATS, NOTHING, format_of
from deqlab.data.formats.write_streamed import write_streamed


@dataclass(frozen=True)
class Converted:
    """What was written, and what is to be said of it. card: its file, beside the output."""

    volume: Volume
    slices: Sequence[int]
    left_out: Sequence[str]
    card: Path


def convert_file(
    source: str | Path,
    destination: str | Path,
    slices: Slices = "all",
    told: Mapping[str, Any] = NOTHING,
) -> Converted:
    """`destination` holds the slices of `source`, with their samples in their place, and beside it
    a card of the same name says how it was read.

    told: options of the source's format. Raises InputError for what cannot be read or written.
    """
    source, destination = Path(source), Path(destination)
    if destination.suffix not in SUFFIXES:
        raise InputError(f"{destination}: a name that ends in {' or '.join(SUFFIXES)} needed")
    kind = format_of(source, told)
    stated = kind.open(source)
    refuse_same_file(source, destination)
    chosen = choose_slices(stated, slices)
    volume = open_volume(source, chosen, told)
    left_out = write_streamed(destination, volume, chosen)
    card = destination.with_suffix(".json")
    facts = {
        # Its folders are its owner's affair.
        "source": source.name,
        "format": FORMATS.name_of(kind),
        "axes": stated.axes.told if isinstance(stated, (ArrayVolume, SpokesVolume)) else None,
        "options": dict(told),
        "slices": chosen,
        "shape": list(volume.shape),
        "emulated": volume.emulated or None,
        "notes": list(volume.notes),
        "not carried": list(left_out),
    }
    with atomic_path(card) as temporary:
        write_durably(temporary, (json.dumps(facts, indent=2) + "\n").encode())
    return Converted(volume, chosen, left_out, card)


def told_of_conversion(converted: Converted, destination: Path) -> str:
    """What was written and how, some lines."""
    from deqlab.data.sampling import describe

    volume, count = converted.volume, len(converted.slices)
    sizes = "x".join(map(str, volume.shape[2:])) + ("" if len(volume.shape) == 4 else " samples")
    lines = [
        f"{destination}: {count} slice{'s' * (count != 1)} of {volume.shape[1]}"
        f" coil{'s' * (volume.shape[1] != 1)}, {sizes}, {describe(volume)}"
    ]
    lines += [f"emulated: {volume.emulated}"] if volume.emulated else []
    lines += [f"note: {note}" for note in volume.notes]
    lines += [f"not carried: {what}" for what in converted.left_out]
    return "\n".join([*lines, f"card: {converted.card}"])
