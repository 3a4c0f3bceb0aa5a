"""CONTRIBUTING.md cannot rot: each recipe is followed, in a temporary folder, and what it makes is
used as the page says.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from deqlab.core.options import names_of, sentence
from deqlab.core.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```python ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Recipe:
    """A section of the page. files: source by path. lines: (registry's path, line). uses: code that
    then runs.
    """

    files: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)


def recipes() -> dict[str, Recipe]:
    """The sections "Add a ..." by what they add."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        recipe = found[title.removeprefix("Add a ")] = Recipe()
        for head, code in BLOCK.findall(text):
            if head == "use":
                recipe.uses.append(code)
            elif head.startswith("line in "):
                recipe.lines.append((head.removeprefix("line in "), code))
            else:
                recipe.files[head] = code
    return found


RECIPES = recipes()


def load(source: Path) -> ModuleType:
    """The module in a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"recipe_{source.stem}", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def follow(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The recipe, followed: what its lines register, in registries that forget it afterwards."""
    names: dict[str, object] = {}
    for path, code in recipe.files.items():
        assert (ROOT / path).parent.is_dir() and not (ROOT / path).exists()
        (folder / Path(path).name).write_text(code, encoding="utf-8")
        names |= vars(load(folder / Path(path).name))
    added: list[type] = []
    for path, line in recipe.lines:
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        # A room may have smaller registries below the one that it is known for.
        registry = next(value for value in vars(module).values() if isinstance(value, Registry))
        for name, kind in eval(f"{{{line}}}", names).items():
            assert name not in registry
            monkeypatch.setitem(registry._entries, name, kind)
            added.append(registry.options(name))
    monkeypatch.chdir(folder)
    for code in recipe.uses:
        exec(compile(code, str(PAGE), "exec"), {})
    return added


def test_every_block_belongs_to_a_recipe() -> None:
    assert list(RECIPES) == ["loss", "metric", "denoiser", "method", "format", "notebook"]
    blocks = sum(len(r.files) + len(r.lines) + len(r.uses) for r in RECIPES.values())
    assert blocks == PAGE.read_text(encoding="utf-8").count("\n```python")
    assert all(recipe.uses for recipe in RECIPES.values())


@pytest.mark.parametrize("what", [what for what in RECIPES if what != "notebook"])
def test_one_file_and_one_line(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES[what]
    assert len(recipe.files) == len(recipe.lines) == 1
    assert recipe.lines[0][1].count("\n") == 1
    (options,) = follow(recipe, tmp_path, monkeypatch)
    assert all(sentence(options, name) for name in names_of(options))


def test_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(RECIPES["notebook"], tmp_path, monkeypatch)
    (written,) = tmp_path.glob("*.ipynb")
    cells = json.loads(written.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "same seed, same draw: True\n"


def test_the_code_has_the_house_style(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    for number, recipe in enumerate(RECIPES.values()):
        for name, code in [*recipe.files.items(), (f"use_{number}.py", "".join(recipe.uses))]:
            (tmp_path / Path(name).name).write_text(code, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
    for words in (["check"], ["format", "--check"]):
        ran = subprocess.run([*ruff, *words, *config], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
