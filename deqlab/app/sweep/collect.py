"""All numbers of a sweep in one Parquet file, a row each."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deqlab.app.commit import commit
from deqlab.app.sweep.cell import Cell
from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError

FILE = "results.parquet"
TOLD = ("cell", "status", "error", "command", "seconds", "finished")
MEASURED = ("metric", "value", "method", "unit")

Measured = Callable[[Cell], Iterable[Mapping[str, Any]]]


def collect(
    cells: Sequence[Cell], outcomes: Sequence[Mapping[str, Any]], measured: Measured, out: Path
) -> Path:
    """OUT/results.parquet, written whole: for every number of a cell the axes, what was run and
    with what it ran; of a cell that failed one row without a number.
    """
    import pyarrow
    from pyarrow import parquet

    axes = list(dict.fromkeys(axis for cell in cells for axis in cell.values))
    clash = sorted(set(axes) & {*TOLD, *MEASURED, "commit", "torch", "python"})
    if clash:
        raise InputError(f"axis {clash[0]}: a column of the results is called so")
    facts = _facts()
    rows = []
    for cell, outcome in zip(cells, outcomes):
        known = {"cell": cell.folder.name, "command": cell.command} | facts
        known |= {name: outcome.get(name) for name in TOLD if name in outcome}
        known |= {axis: cell.values.get(axis) for axis in axes}
        numbers = measured(cell) if outcome["status"] == "ok" else [dict.fromkeys(MEASURED)]
        rows += [known | dict(number) for number in numbers]
    texts = [*axes, *TOLD, *MEASURED, *facts]
    schema = pyarrow.schema(
        [
            (name, pyarrow.float64() if name in ("value", "seconds") else pyarrow.string())
            for name in texts
        ]
    )
    path = out / FILE
    with atomic_path(path) as temporary:
        parquet.write_table(
            pyarrow.Table.from_pylist(rows, schema.with_metadata({"axes": ",".join(axes)})),
            temporary,
        )
    return path


def read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The axes and the rows of such a file, or of the folder that holds it. InputError for another
    one.
    """
    import pyarrow
    from pyarrow import parquet

    path = path / FILE if path.is_dir() else path
    try:
        table = parquet.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path}: missing; `deqlab sweep` writes it") from None
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None
    axes = (table.schema.metadata or {}).get(b"axes")
    if axes is None or not {*MEASURED, *TOLD} <= set(table.column_names):
        raise InputError(f"{path}: not the results of a sweep, which hold a column `metric`")
    return axes.decode().split(","), table.to_pylist()


def _facts() -> dict[str, str | None]:
    import torch

    return {"commit": commit(), "torch": torch.__version__, "python": platform.python_version()}
