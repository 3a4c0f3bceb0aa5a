"""Where data are kept, also for a user without a home."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from deqlab.core.cache import cache_folder, made
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


@pytest.mark.parametrize("kind", ["missing", "file", "read-only", "folder .cache is a file"])
def test_a_home_that_cannot_be_written_is_none(homeless: Path, monkeypatch, kind: str) -> None:
    home = homeless / "home"
    monkeypatch.setenv("HOME", str(home))
    if kind == "file":
        home.touch()
    elif kind != "missing":
        home.mkdir()
    if kind == "folder .cache is a file":
        (home / ".cache").touch()
    # To the user root nothing is forbidden, so it is said in place of the system.
    allowed = os.access
    closed = {"missing": homeless, "read-only": home}.get(kind)
    monkeypatch.setattr(os, "access", lambda path, how: path != closed and allowed(path, how))
    words = r"home/\.cache/deqlab cannot be written; .*DEQLAB_CACHE names another"
    with pytest.warns(DeqlabWarning, match=words):
        assert cache_folder() == homeless / f"deqlab-{os.getuid()}"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/cache: cannot be made .*DEQLAB_CACHE names another"):
        made(tmp_path / "file" / "cache")
    assert made(tmp_path / "new" / "cache").is_dir()
