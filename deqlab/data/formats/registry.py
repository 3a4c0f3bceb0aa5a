"""Which format a file has: decided here, by its content, and nowhere else. One line a format."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deqlab.core.errors import InputError
from deqlab.core.options import names_of
from deqlab.core.registry import Registry
from deqlab.data.formats.bart_files import BartFiles
from deqlab.data.formats.calgary_campinas import CalgaryCampinas
from deqlab.data.formats.fastmri import FastMRI
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.ismrmrd_raw import IsmrmrdRaw
from deqlab.data.formats.magnitude_images import DicomImages, NiftiImages
from deqlab.data.formats.matlab_files import MatlabFiles
from deqlab.data.formats.numpy_files import NumpyFiles
from deqlab.data.formats.protocol import Format, Volume
from deqlab.data.formats.siemens_twix import SiemensTwix
from deqlab.data.formats.skm_tea import SkmTea
from deqlab.data.formats.trajectory_layout import TrajectoryLayout

FORMATS: Registry[Format] = Registry(
    "file format",
    {
        "bart": BartFiles,
        "numpy": NumpyFiles,
        "matlab": MatlabFiles,
        "ismrmrd": IsmrmrdRaw,
        "twix": SiemensTwix,
        "skm-tea": SkmTea,
        "calgary-campinas": CalgaryCampinas,
        "nifti": NiftiImages,
        "dicom": DicomImages,
        # Every other HDF5 file is one of these two.
        "fastmri": FastMRI,
        "trajectory": TrajectoryLayout,
    },
)


NOTHING: Mapping[str, Any] = MappingProxyType({})


def format_of(path: str | Path, told: Mapping[str, Any] = NOTHING) -> Format:
    """The format that recognises the file, with the options that it is `told`.

    InputError for a file that is missing, unreadable, or in no format that is known, and for an
    option that its format does not have.
    """
    path = Path(path)
    stamp(path)
    for name in FORMATS:
        if not FORMATS.make(name).recognises(path):
            continue
        for option, value in told.items():
            if option not in names_of(FORMATS.options(name)):
                raise InputError(
                    f"--{option.replace('_', '-')}: {value} given, but {path} is in the format"
                    f" {name}, which has no such option"
                )
        return FORMATS.make(name, **told)
    raise InputError(
        f"{path}: not a readable HDF5 file, nor in another known format; known are"
        f" {', '.join(FORMATS)}"
    )


def open_stated(path: str | Path, told: Mapping[str, Any] = NOTHING) -> Volume:
    """The validated facts of the file `path` as it states them, whatever its format, kept until the
    file changes. What reads samples asks `deqlab.data.open_volume`, which examines them.

    told: options of its format, such as the names of an array's axes. Reads no k-space, but for one
    slice of an array that does not say what was sampled. Raises InputError, one line naming file
    and field, for what cannot be used.
    """
    return format_of(path, told).open(path)


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that are taken from a folder, each once."""
    return tuple(dict.fromkeys(suffix for name in FORMATS for suffix in FORMATS[name].suffixes))
