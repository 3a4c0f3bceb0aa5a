"""`deqlab data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deqlab.app.reading import SLICES, parse_slices, reading_flags, told_of
from deqlab.app.shell import Command

HELP = """Writes a file of any known format in fastMRI's schema, or with its trajectory.

IN is told by its content: BART, NumPy, MATLAB, ISMRMRD, Siemens twix and others, or images
(NIfTI, DICOM), whose k-space is emulated and called so. What a file cannot say of itself is said by
the options below. Printed is what was taken for granted and what could not be carried; a card,
OUT.json, remembers it.
"""


def _convert(source: Path, out: Path, slices: str, **given: Any) -> int:
    from deqlab.app.convert_file import convert_file, told_of_conversion

    converted = convert_file(source, out, parse_slices(slices), told_of(given))
    print(told_of_conversion(converted, out))
    return 0


PATH = click.Path(path_type=Path)
CONVERT = Command(
    "convert",
    callback=_convert,
    help=HELP,
    short_help="Writes a file of any known format as HDF5.",
    params=[
        click.Argument(["source"], type=PATH, metavar="IN"),
        click.Argument(["out"], type=PATH, metavar="OUT.h5"),
        SLICES,
    ],
    later=reading_flags,
)
