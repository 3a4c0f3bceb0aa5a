"""What differs between the cells of a sweep: axes with values, their product, or a list."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

from deqlab.core.errors import InputError

Values = dict[str, str]


def product(words: Sequence[str]) -> list[Values]:
    """All combinations of axes given as NAME=VALUE,VALUE,... in the order of the axes, the last one
    fastest. Values that have commas of their own are separated by semicolons.

    InputError for an axis without values, one that is given twice, or a value that is.
    """
    axes: dict[str, list[str]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        values = [part.strip() for part in text.split(";" if ";" in text else ",")]
        if not name or not equals or not all(values):
            raise InputError(f"--grid {word}: NAME=VALUE,VALUE,... needed, such as seed=0,1,2")
        if name in axes:
            raise InputError(f"--grid {word}: the axis {name} is given twice")
        for value in values:
            if values.count(value) > 1:
                raise InputError(f"--grid {word}: {value} is given {values.count(value)} times")
        axes[name] = values
    return [dict(zip(axes, cell)) for cell in itertools.product(*axes.values())] if axes else []


def listed(path: Path) -> list[Values]:
    """The cells of a CSV file: a row each, a column for each axis; an empty field leaves its axis
    to the default. InputError for a file without rows, or with a row that is longer than its head.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    if not rows or not reader.fieldnames or not all(reader.fieldnames):
        raise InputError(f"{path}: no cells; a head of axes and a row for each cell needed")
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise InputError(f"{path}: line {number}: more fields than the head has axes")
    return [{name: value for name, value in row.items() if value} for row in rows]


def cells(grid: Sequence[str], file: Path | None) -> list[Values]:
    """The cells of the grid, or of the list crossed with the grid; InputError where there is none,
    or where two are alike.
    """
    from_file = listed(file) if file else [{}]
    from_grid = product(grid) or [{}]
    found = []
    for row, combination in itertools.product(from_file, from_grid):
        both = sorted(row.keys() & combination.keys())
        if both:
            raise InputError(f"{file}: the axis {both[0]} stands in --grid too")
        found.append(row | combination)
    if found == [{}]:
        raise InputError("an empty sweep: --grid NAME=VALUE,VALUE or --cells FILE.csv needed")
    for values in found:
        if found.count(values) > 1:
            alike = ", ".join(f"{name}={value}" for name, value in values.items())
            raise InputError(f"{file}: two cells are alike ({alike})")
    return found
