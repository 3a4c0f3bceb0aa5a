"""A file is written where the user means it, and nothing but a file is replaced."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError


def write(path: Path | str, text: str = "new") -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_is_followed(tmp_path: Path, steps: int, relative: bool, there: bool) -> None:
    """Also a link to a link, a relative one, and one whose file is yet to come."""
    (tmp_path / "big").mkdir()
    real = tmp_path / "big" / "real.h5"
    if there:
        real.write_text("old")
    aim = Path("big/real.h5") if relative else real
    for step in range(steps):
        link = tmp_path / f"link{step}.h5"
        link.symlink_to(aim)
        aim = Path(link.name) if relative else link
    write(link)
    assert link.is_symlink() and real.read_text() == "new"
    assert os.listdir(tmp_path / "big") == ["real.h5"]


def test_a_failure_behind_a_link_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "real").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def to_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def to_folder(path: Path) -> None:
    path.symlink_to(path.parent)


def to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def to_nowhere(path: Path) -> None:
    path.symlink_to("missing/file.h5")


@pytest.mark.parametrize(
    "make, word",
    [
        (pipe, "is a pipe"),
        (socket_at, "is a socket"),
        (to_device, "is a device"),
        (to_pipe, "is a pipe"),
        (to_folder, "is a folder"),
        (to_itself, "circle"),
        (to_nowhere, "does not exist"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_no_file_is_refused_and_stays(tmp_path: Path, monkeypatch, make, word: str) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("out.h5") if make is socket_at else tmp_path / "out.h5")
    before = os.lstat("out.h5")
    with pytest.raises(InputError, match=word) as error:
        write(tmp_path / "out.h5")
    assert "out.h5" in str(error.value) or "missing" in str(error.value)
    assert os.lstat("out.h5").st_ino == before.st_ino
    assert not [name for name in os.listdir() if name.endswith(".part")]


def test_a_device_is_named_by_itself_too() -> None:
    with pytest.raises(InputError, match="/dev/null: is a device"):
        write("/dev/null")
