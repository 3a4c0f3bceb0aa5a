"""Where data are kept, also for a user without a home."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from deqlab.core.cache import cache_folder
from deqlab.core.errors import DeqlabWarning, InputError


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As a user id without a name and without HOME; the folder of temporary files."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("DEQLAB_CACHE", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def unknown(user):
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    return tmp_path


def test_without_a_home_it_is_a_temporary_folder_and_told(homeless: Path) -> None:
    with pytest.warns(DeqlabWarning, match="DEQLAB_CACHE"):
        assert cache_folder() == homeless / f"deqlab-{os.getuid()}"


def test_what_was_chosen_needs_no_home(homeless: Path, monkeypatch) -> None:
    assert cache_folder("here") == Path("here")
    monkeypatch.setenv("DEQLAB_CACHE", "there")
    assert cache_folder() == Path("there")


def test_nobody_elses_folder_is_taken(homeless: Path, monkeypatch) -> None:
    folder = homeless / f"deqlab-{os.getuid() + 1}"
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda owner=os.getuid(): owner + 1)
    with pytest.raises(InputError, match="belongs to somebody else"):
        cache_folder()


def test_a_home_is_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEQLAB_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "deqlab"
