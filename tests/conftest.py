"""What every test shares: one thread a process, nothing of the user's shell, a way to write notebooks."""

from __future__ import annotations

import os

# before torch is imported: several workers with several threads each slow one another down
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEQLAB_FIGURES", "DEQLAB_RESULTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """`write_notebook(path, *cells, parameters="seed: int = 0")`: a cell is its source, or (source, tags)."""
    import nbformat
    from nbformat import v4

    def write(path: Path, *cells: str | tuple[str, list[str]], parameters: str | None = None) -> Path:
        notebook = v4.new_notebook()
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        tagged = [(parameters, ["parameters"])] if parameters is not None else []
        for cell in (*tagged, *cells):
            source, tags = (cell, []) if isinstance(cell, str) else cell
            written = v4.new_code_cell(source)
            written.metadata.tags = tags
            notebook.cells.append(written)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write
