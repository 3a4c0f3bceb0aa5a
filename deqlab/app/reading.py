"""What a file cannot say of itself, as flags that every command takes that reads files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from deqlab.app.shell import flags, said


def reading_flags() -> list[click.Parameter]:
    """A flag for each option that some format has, in the formats' order."""
    from deqlab.core.options import default_of, names_of, sentence
    from deqlab.data.formats.registry import FORMATS

    found: dict[str, click.Parameter] = {}
    for format_name in FORMATS:
        kind = FORMATS.options(format_name)
        for name in names_of(kind):
            if name in found:
                continue
            if isinstance(default_of(kind, name), bool):
                # No default of its own, so that what was not said is not passed on.
                found[name] = click.Option(
                    [f"--{name.replace('_', '-')}"],
                    is_flag=True,
                    default=None,
                    help=sentence(kind, name),
                )
            else:
                (found[name],) = flags(kind, [name])
    return list(found.values())


def told_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the words of the shell that are options of formats, and were said."""
    names = {parameter.name for parameter in reading_flags()}
    return said({name: value for name, value in given.items() if name in names})


def parse_slices(text: str) -> str | tuple[int, int] | list[int]:
    """The slices that `text` names: "all", (start, stop) from START:STOP, or a list from 3,5,8.

    Raises InputError for anything else.
    """
    from deqlab.core.errors import InputError

    try:
        if text == "all":
            return text
        if ":" in text:
            start, stop = text.split(":")
            return int(start), int(stop)
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"--slices: {text!r} given; all, START:STOP, or 3,5,8 and so on needed"
        ) from None


SLICES = click.Option(
    ["--slices"],
    default="all",
    show_default=True,
    metavar="S",
    help="all, START:STOP, or numbers such as 3,5,8",
)
