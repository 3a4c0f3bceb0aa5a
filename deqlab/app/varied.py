"""How the shell names varied training data: `--anatomy FILE.nii.gz`, `--set data.window=64`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from deqlab.core.errors import InputError

if TYPE_CHECKING:
    from deqlab.data.varied.draws import VariedOptions

VARIED = "varied"
PREFIX = "data."

ANATOMY = click.Option(
    ["--anatomy"],
    multiple=True,
    metavar="FILE.nii.gz",
    help="volumes of magnitudes whose slices varied draws are made of too, beside simulated heads;"
    " their phase and k-space are emulated",
)
SET_DRAWS = click.Option(
    ["--set", "words"],
    multiple=True,
    metavar="data.NAME=VALUE",
    help="an option of the draws, such as data.images.leaves=0.5; may be repeated",
)


def varied_options(
    words: Sequence[str] | Mapping[str, str], anatomy: Sequence[str]
) -> VariedOptions:
    """The options of varied draws from the words of the shell, NAME=VALUE, with their prefix."""
    from deqlab.core.options import updated
    from deqlab.data.varied.draws import VariedOptions

    pairs = dict(words) if isinstance(words, Mapping) else {}
    for word in () if isinstance(words, Mapping) else words:
        key, equals, value = word.partition("=")
        if not equals or not key.startswith(PREFIX):
            raise InputError(f"--set {word}: {PREFIX}NAME=VALUE needed, such as data.window=64")
        pairs[key] = value
    own = {key.removeprefix(PREFIX): value for key, value in pairs.items()}
    if anatomy:
        own["anatomy.files"] = tuple(anatomy)  # type: ignore[assignment]  # a value is as good
    return updated(VariedOptions(), own)
