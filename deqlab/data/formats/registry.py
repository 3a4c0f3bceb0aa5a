"""Which format a file has: decided here, by its content, and nowhere else. One line a format."""

from pathlib import Path

from deqlab.core.errors import InputError
from deqlab.core.registry import Registry
from deqlab.data.formats.fastmri import FastMRI
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.protocol import Format, Volume
from deqlab.data.formats.trajectory_layout import TrajectoryLayout

FORMATS: Registry[Format] = Registry(
    "file format", {"fastmri": FastMRI, "trajectory": TrajectoryLayout}
)


def format_of(path: str | Path) -> Format:
    """The format that recognises the file.

    InputError for a file that is missing, unreadable, or in no format that is known.
    """
    path = Path(path)
    stamp(path)
    for name in FORMATS:
        known = FORMATS.make(name)
        if known.recognises(path):
            return known
    raise InputError(
        f"{path}: not a readable HDF5 file, nor in another known format; known are"
        f" {', '.join(FORMATS)}"
    )


def open_stated(path: str | Path) -> Volume:
    """The validated facts of the file `path` as it states them, whatever its format, kept until the
    file changes. What reads samples asks `deqlab.data.open_volume`, which examines them.

    Reads no k-space. Raises InputError, one line naming file and field, for what cannot be used.
    """
    return format_of(path).open(path)


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that are taken from a folder, each once."""
    return tuple(dict.fromkeys(suffix for name in FORMATS for suffix in FORMATS[name].suffixes))
