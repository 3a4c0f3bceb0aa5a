"""A data set small enough to train on in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from deqlab.data.simulated import SimulationConfig, make


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Files of 32x32 pixels, two coils and two slices: two volumes to train on and two to test on."""
    config = SimulationConfig(matrix=32, coils=2, slices=2, volumes=(2, 0, 2), oversampling=1)
    folder = tmp_path_factory.mktemp("tiny")
    return {split: make(folder, config, (split,), progress=False) for split in ("train", "test")}


@pytest.fixture
def shell(capsys):
    """`shell(words...)` is (exit status, output, error lines) of `deqlab reconstruct`."""

    def run(*words: object) -> tuple[int, str, list[str]]:
        from deqlab.study.cli import main

        status = main(["reconstruct", *map(str, words)])
        output, errors = capsys.readouterr()
        return status, output, errors.splitlines()

    return run
