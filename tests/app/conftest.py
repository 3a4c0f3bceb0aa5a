"""The shell command as tests call it, and a clone to run it in."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shell(capsys):
    """`shell(words...)` is (exit status, output, error lines) of `deqlab reconstruct`."""

    def run(*words: object) -> tuple[int, str, list[str]]:
        from deqlab.app.cli import main

        status = main(["reconstruct", *map(str, words)])
        output, errors = capsys.readouterr()
        return status, output, errors.splitlines()

    return run


PARAMETERS = '''"""What may be set."""
seed: int = 0  # of every draw
rate: float = 1.5
loss: str = "l1"  # l1 | l2: which error is trained on
acceleration: int = 4  # 4 | 8
budget: str = "quick"  # quick | full
verbose: bool = False
sizes: list[int] = [1, 2]
note: str = "a | b"  # left | right padding, or any other text
'''


@pytest.fixture
def study(tmp_path: Path, write_notebook, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with three notebooks; the test stands in it."""
    (tmp_path / "deqlab").mkdir()
    (tmp_path / "deqlab" / "__init__.py").touch()
    write_notebook(tmp_path / "notebooks" / "01_see.ipynb", "print(seed)", parameters=PARAMETERS)
    write_notebook(
        tmp_path / "notebooks" / "08_find_the_point.ipynb", "pass", parameters="depth: int = 3"
    )
    write_notebook(tmp_path / "notebooks" / "15_judge.ipynb", "pass")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def any_command(capsys):
    """`any_command(words...)` is (exit status, output, error lines) of `deqlab`."""

    def run(*words: object) -> tuple[int, str, list[str]]:
        from deqlab.app.cli import main

        status = main([*map(str, words)])
        output, errors = capsys.readouterr()
        return status, output, errors.splitlines()

    return run
