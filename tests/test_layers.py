"""An import may only point down: from room to room, from shelf to shelf inside a room, and never in
a circle of files, wherever in a file it stands.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import deqlab

PACKAGE = Path(deqlab.__file__).parent
# Lowest first: what stands in a line may import what stands above it.
ROOMS = [
    "core",
    "signal",
    "solvers",
    "operators",
    "equilibrium",
    "networks",
    "losses",
    "metrics",
    "recon",
    "data",
    "training",
    "evaluation",
    "theory",
    "show",
    "app",
    "__init__",
    "__main__",
]
# The same inside a room; a folder or a file that is not named stands above all that are.
SHELVES = {
    "signal": ["transforms", "scan", "sampling", "coils"],
    "recon": [
        "base",
        "fixed_point",
        "steps",
        "classical",
        "sparse",
        "deq",
        "unrolled",
        "direct",
        "generative",
    ],
    "data": ["formats", "examine", "truth", "sample", "sampling", "prepare"],
    "theory": ["contraction", "subspaces", "jacobian_split", "uniqueness", "compressed_sensing"],
}
# Rooms that know less than those above them would let them.
KNOWS_ONLY = {
    "core": set(),
    "signal": {"core"},
    "solvers": {"core"},
    "operators": {"core", "signal"},
    "equilibrium": {"core", "solvers"},
    "networks": {"core", "signal"},
    "losses": {"core"},
    "metrics": {"core"},
    "data": {"core", "signal", "operators"},
    "show": {"core", "signal"},
    "__main__": {"app"},
}
DYNAMIC = ("import_module", "__import__")


def module_of(file: Path) -> str:
    """The dotted name of a file (its path inside the package); a package's is its folder's."""
    parts = ("deqlab", *file.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, file: Path) -> set[str]:
    """Everything of deqlab that a file names in imports, inside functions too, as dotted names."""
    here = ("deqlab", *file.parent.parts)
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from deqlab import signal` names the room after the `import`
            names += [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in DYNAMIC:
            names += [part.value for part in node.args[:1] if isinstance(part, ast.Constant)]
    return {name for name in names if name.split(".")[0] == "deqlab" and "." in name}


def violations(source: str, file: Path) -> set[str]:
    """The imports of a file that point up, as room or room.shelf."""
    own = module_of(file).split(".")[1:] or ["__init__"]
    found = set()
    for name in imports(source, file):
        room, *rest = name.split(".")[1:]
        if room not in ROOMS:
            continue  # a name of deqlab/__init__.py
        if room != own[0]:
            known = KNOWS_ONLY.get(own[0], set(ROOMS[: ROOMS.index(own[0])]))
            if room not in known:
                found.add(room)
        elif rest and _shelf(room, rest) > _shelf(room, own[1:] or ["__init__"]):
            found.add(f"{room}.{rest[0]}")
    return found


def _shelf(room: str, inside: list[str]) -> int:
    shelves = SHELVES.get(room, [])
    return shelves.index(inside[0]) if inside[0] in shelves else len(shelves)


FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=Path.as_posix)
def test_imports_point_down(file: Path) -> None:
    assert file.parts[0].removesuffix(".py") in ROOMS, "a new room: give it its place in ROOMS"
    assert violations((PACKAGE / file).read_text(encoding="utf-8"), file) == set()


def circle(sources: dict[Path, str]) -> list[str] | None:
    """Files that import one another in a circle; None where there is none."""
    modules = {module_of(file): file for file in sources}
    graph: dict[str, set[str]] = {}
    for file, source in sources.items():
        named = imports(source, file)
        targets = {name if name in modules else name.rpartition(".")[0] for name in named}
        graph[module_of(file)] = (targets & modules.keys()) - {module_of(file)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def test_no_files_import_in_a_circle() -> None:
    sources = {file: (PACKAGE / file).read_text(encoding="utf-8") for file in FILES}
    assert circle(sources) is None


def test_a_circle_is_found() -> None:
    ring = {"a/x.py": "from deqlab.a.y import f", "a/y.py": "def g():\n    import deqlab.a.z as z"}
    ring["a/z.py"] = "from deqlab.a.y import f"
    assert set(circle({Path(name): source for name, source in ring.items()}) or ()) == {
        "deqlab.a.y",
        "deqlab.a.z",
    }
    ring["a/z.py"] = "import torch"
    assert circle({Path(name): source for name, source in ring.items()}) is None


def test_a_file_name_exists_once() -> None:
    shared = {"__init__", "registry", "base", "protocol", "options"}
    names = [file.stem for file in FILES if file.stem not in shared]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("signal/a.py", "import deqlab.operators.cartesian as c", {"operators"}),
        ("signal/a.py", "from deqlab import operators", {"operators"}),
        ("signal/a.py", "def late():\n    from deqlab.recon.registry import create", {"recon"}),
        ("signal/a.py", "from ..data import dataset", {"data"}),
        ("signal/a.py", "from .. import data", {"data"}),
        ("signal/transforms/a.py", "from ..coils.espirit import ESPIRiT", {"signal.coils"}),
        ("signal/coils/a.py", "from ..transforms.fourier import fft2c", set()),
        ("app/commands/run.py", "from ...show import canvas\nfrom ..runner import run", set()),
        ("training/trainer.py", "from deqlab.show import style", {"show"}),
        ("data/a.py", "import importlib\nimportlib.import_module('deqlab.show.style')", {"show"}),
        ("solvers/a.py", "from deqlab.signal.transforms.fourier import fft2c", {"signal"}),
        ("equilibrium/a.py", "from deqlab.solvers import solve\nimport deqlab.core.errors", set()),
        ("recon/a.py", "from deqlab.data.sample import Sample", {"data"}),
        ("recon/steps/a.py", "from deqlab.recon.deq.de_prox import DEProx", {"recon.deq"}),
        ("recon/deq/a.py", "from deqlab.recon.registry import create", {"recon.registry"}),
        (
            "data/a.py",
            "from . import sample\nfrom .check import f\nimport numpy, deqlabel.x",
            set(),
        ),
        ("show/a.py", "import deqlab.operators, deqlab.signal.transforms", {"operators"}),
        ("core/a.py", "from .signal import fourier\nfrom ..signal import coils", {"signal"}),
    ],
)
def test_every_way_of_importing_is_seen(file: str, source: str, wrong: set[str]) -> None:
    assert violations(source, Path(file)) == wrong
