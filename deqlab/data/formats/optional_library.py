"""Libraries that only some formats need: one line names what to install where one is missing."""

from importlib import import_module
from pathlib import Path
from typing import Any

from deqlab.core.errors import InputError


def library(name: str, path: Path) -> Any:
    """The module `name`; InputError where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise InputError(
            f"{path}: needs {name}, which is not installed: pip install {name}, or"
            " pip install 'deqlab[formats]' for all such formats"
        ) from None
