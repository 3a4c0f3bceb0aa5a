"""What the shell command prints can be printed: on a terminal of any encoding, and where nobody
listens.
"""

import codecs
import io
import os
import sys

# What stands for the signs of our own texts where an encoding has them not.
PLAIN = {"±": "+-", "×": "x", "·": ".", "–": "-", "—": "-", "…": "...", "’": "'", "→": "->"}
PLAINLY = "deqlab.plainly"


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """The replacement for signs that cannot be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in signs), error.end


def usable_streams() -> None:
    """Standard input, output and error are there and take any text.

    Where one was closed (`>&-`) it is the null device now: else the next file to be opened would
    get its number, and whatever prints would write into that file.
    """
    # In this order, as an opened file gets the lowest number that is free.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process
    codecs.register_error(PLAINLY, _plainly)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=PLAINLY)
