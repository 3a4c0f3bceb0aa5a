"""Where data that are made once are kept."""

import os
import tempfile
import warnings
from pathlib import Path

from deqlab.core.errors import DeqlabWarning, InputError


def cache_folder(cache: str | Path | None = None) -> Path:
    """`cache`, or where None the environment variable DEQLAB_CACHE, or else ~/.cache/deqlab; for a
    user without a home (a container's bare user id) a folder of hers among the temporary ones, with
    a DeqlabWarning.
    """
    chosen = cache or os.environ.get("DEQLAB_CACHE")
    if chosen:
        return Path(chosen)
    try:
        return Path.home() / ".cache" / "deqlab"
    except RuntimeError:
        return _without_home()


def _without_home() -> Path:
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"deqlab-{user}"
    advice = "DEQLAB_CACHE names another folder"
    if folder.exists() and folder.stat().st_uid != user:
        raise InputError(f"{folder}: belongs to somebody else, and there is no home; {advice}")
    warnings.warn(
        f"no home folder; what is made once is kept in {folder}; {advice}",
        DeqlabWarning,
        stacklevel=3,
    )
    return folder
