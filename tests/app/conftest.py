"""The shell command as tests call it."""

from __future__ import annotations

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
