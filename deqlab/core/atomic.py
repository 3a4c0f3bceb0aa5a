"""Files that appear whole or not at all: written beside their destination and renamed at the
end.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deqlab.core.errors import InputError

SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it
    fails. Of a link it is the file that it leads to.

    Raises InputError before the block runs where the folder is missing or cannot be written, and
    for what is no file: a folder, a device, a pipe. An OSError inside the block (a full disk)
    becomes an InputError that names `path`.
    """
    path = _file_of(Path(path))
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written here ({error.strerror})") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; the result gets the permissions that any new file would have.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{path}: could not be written ({reason}); nothing was changed there"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _file_of(path: Path) -> Path:
    """The file to be written, links followed; InputError where something else is there."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError:
        kind = stat.S_IFREG  # nothing is there yet
    if kind == stat.S_IFDIR:
        raise InputError(f"{path}: is a folder; name a file to write")
    if kind != stat.S_IFREG:
        what = SPECIAL.get(kind, "no file")
        raise InputError(f"{path}: is {what}, which a file would replace; name a file to write")
    if not path.is_symlink():
        return path
    found = Path(os.path.realpath(path))
    if found.is_symlink():
        raise InputError(f"{path}: is a link that leads in a circle; name a file to write")
    return found


def write_durably(path: Path, content: bytes) -> None:
    """`path` holds `content` on the disk, not only in the cache: a full disk is an OSError now."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
