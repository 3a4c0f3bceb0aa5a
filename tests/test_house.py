"""The house rules that no formatter holds: short lines in every kind of file, files of one idea,
and a name for each.
"""

from __future__ import annotations

import ast
import json
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

import pytest

LONGEST_LINE, LONGEST_FILE = 100, 300
REASON = "over 300 lines"
# Prose in Markdown is not code: there a paragraph is a line, and a table's row has to be one.
CODE = {".py", ".pyi", ".js", ".css", ".toml", ".yml", ".yaml", ".cff", ".txt", ""}
# The names that say what a file is to its folder.
SHARED = {"__init__", "registry", "base", "protocol", "options", "conftest"}


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """The files of the project: what git knows, or would know if it were asked to."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, or no git")
    files = [Path(line) for line in listed.stdout.splitlines()]
    return [file for file in files if (repository / file).is_file()]


def lines(path: Path) -> list[str]:
    """The lines of code of a file; of a notebook, those of its code cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text.splitlines()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [line for cell in cells for line in "".join(cell["source"]).splitlines()]


def too_long(path: Path) -> list[int]:
    """Where lines are longer than they may be, from 1."""
    return [at for at, line in enumerate(lines(path), 1) if len(line) > LONGEST_LINE]


def excuse(path: Path) -> str | None:
    """The file's first docstring or comment where it gives a reason for its length, else None."""
    source = path.read_text(encoding="utf-8")
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    said = [ast.get_docstring(ast.parse(source)) or "", *comments[:1]]
    return next((text for text in said if REASON in " ".join(text.lower().split())), None)


def test_no_line_is_too_long(repository: Path, tracked: list[Path]) -> None:
    judged = [file for file in tracked if file.suffix in {*CODE, ".ipynb"}]
    assert {"Makefile", ".ci/run", "deqlab/show/canvas.js"} <= set(map(Path.as_posix, judged))
    found = {file.as_posix(): too_long(repository / file) for file in judged}
    assert {name: at for name, at in found.items() if at} == {}


def test_a_file_over_300_lines_says_why(repository: Path, tracked: list[Path]) -> None:
    files = [file for file in tracked if file.parts[0] == "deqlab" and file.suffix == ".py"]
    long = [file for file in files if len(lines(repository / file)) > LONGEST_FILE]
    unexcused = [file.as_posix() for file in long if excuse(repository / file) is None]
    assert unexcused == []


def test_a_file_name_exists_once_among_tests_and_in_the_package(tracked: list[Path]) -> None:
    for top in ("deqlab", "tests"):
        stems = [file.stem for file in tracked if file.parts[0] == top and file.suffix == ".py"]
        counts = Counter(stem for stem in stems if stem not in SHARED)
        assert [stem for stem, count in counts.items() if count > 1] == []


def test_tests_mirror_the_package(repository: Path, tracked: list[Path]) -> None:
    folders = {file.parent.relative_to("tests") for file in tracked if file.parts[0] == "tests"}
    strange = [folder for folder in folders if not (repository / "deqlab" / folder).is_dir()]
    assert sorted(folder.as_posix() for folder in strange) == ["browser", "device"]


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    wide, code = tmp_path / "wide.py", "x" * (LONGEST_LINE + 1)
    wide.write_text(f"a = 1\n{code}\n")
    assert too_long(wide) == [2]
    notebook = tmp_path / "wide.ipynb"
    cells = [{"cell_type": kind, "source": ["a\n", code]} for kind in ("markdown", "code")]
    notebook.write_text(json.dumps({"cells": cells}))
    assert too_long(notebook) == [2]
    for source, excused in [
        ('"""What.\n\nOver 300\nlines: why."""\n', True),
        ("# over 300 lines: why\na = 1\n", True),
        ("a = 1\n# b\n# over 300 lines: too late\n", False),
        ('"""What."""\n', False),
    ]:
        wide.write_text(source)
        assert (excuse(wide) is not None) == excused
