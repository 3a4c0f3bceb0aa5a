"""How the data are prepared, as flags that commands share."""

import click

from deqlab.app.shell import NameOf, flags
from deqlab.data.prepare.options import Preparation
from deqlab.signal.coils.registry import WHITENING

PREPARATION = [
    click.Option(
        ["--coil-maps"],
        default="auto",
        show_default=True,
        metavar="HOW",
        help="auto (espirit where there are lines enough, else lowres), lowres, espirit,"
        " espirit-cropped (zero in air), walsh, or an HDF5 file with `coil_maps` (slices, coils,"
        " rows, columns)",
    ),
    click.Option(
        ["--whiten"],
        type=NameOf(WHITENING),
        default="auto",
        show_default=True,
        help="auto mixes the coils so that their noise is white, where it can be told from signal",
    ),
    *flags(Preparation, ["coils"]),
]
