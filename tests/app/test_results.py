"""What notebooks record: exact, atomic, and only numbers that mean something."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deqlab.app import results
from deqlab.core.errors import InputError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEQLAB_RESULTS", str(tmp_path / "r.json"))
    return tmp_path / "r.json"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (3, 3),
        (0.1, 0.1),
        ("ok", "ok"),
        (True, True),
        (None, None),
        ([1, 2.5], [1, 2.5]),
        ((1,), [1]),
        ({4: {"psnr": 30.5}}, {"4": {"psnr": 30.5}}),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2),
        (torch.tensor(0.25), 0.25),
        (torch.tensor(True), True),
        ({"a": torch.tensor(1.0, dtype=torch.float64)}, {"a": 1.0}),
    ],
)
def test_values_are_kept_in_plain_types(file: Path, value: object, kept: object) -> None:
    assert results.record("x", value) is value
    found = json.loads(file.read_text())["x"]
    assert found == kept and type(found) is type(kept)


def test_records_add_up_and_the_last_wins(file: Path) -> None:
    for name, value in (("a", 1), ("b", 2), ("a", 3)):
        results.record(name, value)
    assert json.loads(file.read_text()) == {"a": 3, "b": 2}
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        [1, float("nan")],
        {"a": {"b": torch.tensor(float("nan"))}},
        np.float64("nan"),
        torch.ones(2),
        object(),
        1j,
    ],
)
def test_what_means_nothing_is_refused(file: Path, value: object) -> None:
    with pytest.raises(InputError, match="result x"):
        results.record("x", value)
    assert not file.exists()


def test_without_a_file_values_pass_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert results.record("x", 1.5) == 1.5
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(
        InputError
    ):  # refused here too: a notebook must not fail only in the headless run
        results.record("x", float("nan"))


def test_failed_write_keeps_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.record("a", 1)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="r.json"):
        results.record("b", 2)
    monkeypatch.undo()
    assert json.loads(file.read_text()) == {"a": 1}
    assert list(file.parent.iterdir()) == [file]
