"""`import deqlab` is light, and what it offers is there, for people and for type checkers alike."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import deqlab

PACKAGE = Path(deqlab.__file__).parent


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after the statement and had not before."""
    script = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_import_is_light() -> None:
    found = imported_by("import deqlab")
    assert "deqlab" in found
    assert {name for name in found if name.startswith("deqlab.")} == set()
    standard = {name for name in found if name.split(".")[0] in sys.stdlib_module_names}
    assert found == standard | {"deqlab"}


def test_a_name_brings_what_it_needs_and_no_more() -> None:
    assert "torch" not in imported_by("import deqlab; deqlab.InputError")
    found = imported_by("import deqlab; deqlab.solve")
    assert "torch" in found
    rooms = {name.split(".")[1] for name in found if name.startswith("deqlab.")}
    assert rooms <= {"core", "solvers"}


@pytest.mark.parametrize("name", deqlab.__all__)
def test_every_name_is_there(name: str) -> None:
    assert name in dir(deqlab)
    value = getattr(deqlab, name)
    assert getattr(deqlab, name) is value
    if name in deqlab._ROOMS:
        assert value.__name__ == f"deqlab.{name}"


def test_a_star_takes_all() -> None:
    taken: dict[str, object] = {}
    exec("from deqlab import *", taken)
    assert set(deqlab.__all__) <= taken.keys()


def test_every_room_is_named() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(deqlab._ROOMS) == sorted(folders)


def test_type_checkers_see_the_same() -> None:
    """The imports of the block that only they read, as `name: module:attribute`."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block, *_) = [node for node in tree.body if isinstance(node, ast.If)]
    seen, declared = {}, set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").removeprefix("deqlab").removeprefix(".")
            for alias in node.names:
                assert alias.asname, "`X as X` is what offers a name"
                seen[alias.asname] = f"{module}:{alias.name}".removeprefix(":")
        elif isinstance(node, ast.AnnAssign):
            declared.add(ast.unparse(node.target))
    assert seen == {**deqlab._NAMES, **{room: room for room in deqlab._ROOMS}}
    assert declared == {"__version__"}
    assert (PACKAGE / "py.typed").exists()


def test_the_version_is_that_of_the_project(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert deqlab.__version__ == project["version"]


def test_a_misspelled_name_is_answered() -> None:
    assert not hasattr(deqlab, "slove")
    script = "import deqlab; deqlab.slove"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "AttributeError: module 'deqlab' has no attribute 'slove'. Did you mean: 'solve'?"
    )
