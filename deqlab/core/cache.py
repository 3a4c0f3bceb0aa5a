"""Where data that are made once are kept."""

import os
import tempfile
import warnings
from pathlib import Path

from deqlab.core.errors import DeqlabWarning, InputError


def cache_folder(cache: str | Path | None = None) -> Path:
    """`cache`, or where None the environment variable DEQLAB_CACHE, or else ~/.cache/deqlab; for a
    user without a home (a container's bare user id), or with one that cannot be written, a folder
    of hers among the temporary ones, with a DeqlabWarning.
    """
    chosen = cache or os.environ.get("DEQLAB_CACHE")
    if chosen:
        return Path(chosen)
    try:
        folder = Path.home() / ".cache" / "deqlab"
    except RuntimeError:
        return _temporary("no home folder")
    return folder if _writable(folder) else _temporary(f"{folder} cannot be written")


def made(folder: Path) -> Path:
    """`folder`, which is there now; InputError, which names DEQLAB_CACHE, where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}), and what is made once is kept there;"
            " DEQLAB_CACHE names another folder"
        ) from None
    return folder


def _writable(folder: Path) -> bool:
    """Whether `folder`, or the nearest one above it that is there, is one that we may write to."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _temporary(why: str) -> Path:
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"deqlab-{user}"
    advice = "DEQLAB_CACHE names another folder"
    if folder.exists() and folder.stat().st_uid != user:
        raise InputError(f"{folder}: belongs to somebody else, and {why}; {advice}")
    warnings.warn(
        f"{why}; what is made once is kept in {folder}; {advice}", DeqlabWarning, stacklevel=3
    )
    return folder
