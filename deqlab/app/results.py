"""The numbers of a run: notebooks record them, the headless runner collects them into one file and
one table.

from deqlab.app import results
results.record("psnr_db", {"cg-sense": 28.1, "de-grad": 32.4})
"""

from __future__ import annotations

import json
import math
import os
from numbers import Integral, Real
from pathlib import Path

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.core.text_table import table

VARIABLE = "DEQLAB_RESULTS"


def record(name: str, value: object) -> object:
    """`value` itself; the pair also goes to the file that the variable DEQLAB_RESULTS names, if
    any.

    value: a number, a string, a truth value, None, or lists and dictionaries of these (a tensor or
    array without axes is a number). A name that is recorded again replaces its value.
    Raises InputError for NaN, infinity and anything else.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"a result needs a name, a string that is not empty, not {name!r}")
    plain = _plain(value, name)
    path = os.environ.get(VARIABLE)
    if path:
        write(Path(path), {**read(Path(path)), name: plain})
    return value


def _plain(value: object, where: str) -> object:
    """The value in JSON's own types."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a number of numpy or torch
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise InputError(f"result {where} is {value}: only finite numbers can be recorded")
        return float(value)
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    kind = type(value).__name__
    raise InputError(f"result {where} is a {kind}: record numbers, strings, lists or dictionaries")


def read(path: Path) -> dict:
    """The results in a file; empty without the file. Raises InputError when it holds something
    else.
    """
    advice = "remove it or choose another folder"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a results file (not JSON); {advice}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a results file (it must hold a JSON object); {advice}")
    return found


def write(path: Path, content: dict | str) -> None:
    """The file holds all of `content` (a dictionary as JSON), or what it held before: never a
    part.
    """
    text = (
        content
        if isinstance(content, str)
        else json.dumps(content, indent=2, allow_nan=False) + "\n"
    )
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def report(runs: dict[str, dict]) -> str:
    """Markdown that reads well unrendered: one table of the notebooks, then one table of the
    numbers of each.

    runs: by notebook, `status`, `seconds`, `parameters`, `results` and, after a failure, `error`.
    """
    rows = [["notebook", "status", "seconds", "parameters"]]
    for name, run in runs.items():
        set_by_hand = ", ".join(f"{key}={value}" for key, value in run["parameters"].items())
        rows.append([name, run["status"], f"{run['seconds']:.1f}", set_by_hand])
    parts = ["# Results", table(rows)]
    for name, run in runs.items():
        if run.get("error"):
            parts += [f"## {name}", f"Failed: {run['error']}"]
        elif run["results"]:
            parts += [f"## {name}", *_tables(run["results"])]
    return "\n\n".join(parts) + "\n"


def _tables(results: dict) -> list[str]:
    """A dictionary of dictionaries becomes a table of its own; all else shares one."""
    grids = {name: value for name, value in results.items() if _is_grid(value)}
    plain = _flatten({name: value for name, value in results.items() if name not in grids})
    parts = (
        [table([["result", "value"], *([name, _cell(value)] for name, value in plain)])]
        if plain
        else []
    )
    for name, grid in grids.items():
        columns = list(dict.fromkeys(key for row in grid.values() for key in row))
        rows = [
            [key, *(_cell(row.get(column, "")) for column in columns)] for key, row in grid.items()
        ]
        parts.append(table([[name, *columns], *rows]))
    return parts


def _is_grid(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(
            isinstance(row, dict)
            and row
            and not any(isinstance(cell, (dict, list)) for cell in row.values())
            for row in value.values()
        )
    )


def _flatten(values: dict, prefix: str = "") -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        flat += _flatten(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return flat


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        rest = f", … ({len(value)})" if len(value) > 8 else ""
        return ", ".join(map(_cell, value[:8])) + rest
    return str(value)
