"""`deqlab data look`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deqlab.app.reading import reading_flags, told_of
from deqlab.app.shell import Command

HELP = """Prints what is in a file of any known format, and draws one page of it.

The page shows the middle slice: its zero-filled image, k-space, mask, the noise of its coils where
air or noise scans tell it, coil images and coil maps. Nothing of the patient is on it.
"""
PICTURES = (".png", ".pdf", ".svg")


def _look(source: Path, out: Path | None, slice_: int | None, **given: Any) -> int:
    from deqlab.app.look_file import look_at
    from deqlab.app.reconstruct_file import refuse_same_file
    from deqlab.core.atomic import atomic_path
    from deqlab.core.errors import InputError

    out = Path(f"{source.name.split('.')[0]}_look.png") if out is None else out
    if out.suffix not in PICTURES:
        raise InputError(f"{out}: a name that ends in {' or '.join(PICTURES)} needed")
    refuse_same_file(source, out)
    found = look_at(source, slice_, told_of(given))
    with atomic_path(out) as temporary:
        found.figure.savefig(temporary, format=out.suffix.removeprefix("."))
    print("\n".join([f"{source}:", *(f"  {line}" for line in found.lines)]))
    print(f"page: {out}")
    return 0


PATH = click.Path(path_type=Path)
LOOK = Command(
    "look",
    callback=_look,
    help=HELP,
    short_help="Prints what is in a file and draws one page of it.",
    params=[
        click.Argument(["source"], type=PATH, metavar="IN"),
        click.Argument(["out"], type=PATH, required=False, metavar="[OUT.png]"),
        click.Option(
            ["--slice", "slice_"],
            type=click.IntRange(0),
            metavar="N",
            help="that is drawn (default: the middle one)",
        ),
    ],
    later=reading_flags,
)
