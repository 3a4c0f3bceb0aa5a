"""Where data that are made once are kept."""

import os
from pathlib import Path


def cache_folder(cache: str | Path | None = None) -> Path:
    """`cache`, or where None the environment variable DEQLAB_CACHE, or else ~/.cache/deqlab."""
    return Path(cache or os.environ.get("DEQLAB_CACHE") or Path.home() / ".cache" / "deqlab")
