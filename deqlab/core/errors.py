"""The two ways in which deqlab speaks to its user about her input, and the commonest question that
it asks of a number.
"""

import math
import sys
import warnings
from typing import TextIO


class InputError(ValueError):
    """An input cannot be used; the message is one line that names the culprit and what would be
    right.
    """


def positive(name: str, value: float) -> float:
    """`value` as a float; InputError unless it is a finite number above 0."""
    if not 0 < value < math.inf:
        raise InputError(f"{name}: {value} given, a finite number > 0 needed")
    return float(value)


class DeqlabWarning(UserWarning):
    """Work goes on, but the user should know how (a missing header, a fallback that was taken)."""


def one_line_warnings() -> None:
    """Every `DeqlabWarning` is shown as one line, without the place in the code; every other
    warning as Python shows it.
    """
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, DeqlabWarning):
            print(f"deqlab: warning: {' '.join(str(message).split())}", file=file or sys.stderr)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.simplefilter("default", DeqlabWarning)
    warnings.showwarning = show
