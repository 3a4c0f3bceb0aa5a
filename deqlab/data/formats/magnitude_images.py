"""Magnitude images in NIfTI and DICOM files, of which k-space is emulated and called so.

What is emulated is the Fourier transform of the images: one coil, no noise and no phase but those
of the images. Methods look better on it than on a scanner's data. Nothing of a patient is read.
"""

import math
import warnings
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import options
from deqlab.data.formats.array_volume import array_volume
from deqlab.data.formats.axes import fits_memory, parse_axes
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.optional_library import library
from deqlab.data.formats.protocol import Volume

GZIP = b"\x1f\x8b"
NIFTI_MAGIC = (b"n+1\0", b"n+2\0")


@options
class NiftiImages:
    """Files .nii and .nii.gz: a slice for each index of the third axis, and of those after it."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # results are written as such files too

    def recognises(self, path: Path) -> bool:
        """Whether the file is a NIfTI file in one piece, compressed or not."""
        import gzip

        with path.open("rb") as file:
            packed = file.read(2) == GZIP
        try:
            with gzip.open(path) if packed else path.open("rb") as file:
                head = file.read(348)
        except (OSError, EOFError, zlib.error):
            return False
        return head[344:348] in NIFTI_MAGIC or head[4:8] in NIFTI_MAGIC

    def open(self, path: str | Path) -> Volume:
        """The facts of the images; InputError where they are none."""
        path = Path(path)
        return _open_nifti(path, *stamp(path))


@lru_cache(maxsize=8)
def _open_nifti(path: Path, time: int, size: int) -> Volume:
    import nibabel
    from nibabel.imageglobals import LoggingOutputSuppressor

    try:
        with LoggingOutputSuppressor():
            image: Any = nibabel.load(path)
        shape, kind = tuple(map(int, image.shape)), image.get_data_dtype()
        sides = [float(side) for side in image.header.get_zooms()[:3]]
    except Exception as error:  # a damaged file makes the library raise errors of many kinds
        raise InputError(f"{path}: not a readable NIfTI file ({_reason(error)})") from None
    if len(shape) < 2 or min(shape) < 1 or kind.kind not in "iufc":
        raise InputError(f"{path}: {kind} of shape {shape}; an image needed")
    fits_memory(shape, path, "the image")
    names = ["x", "y", *["slice"] * (len(shape) - 2)]
    axes = parse_axes(",".join(names), shape, path, "image")
    known = [side if math.isfinite(side) and side > 0 else None for side in (*sides, 0, 0)]
    return array_volume(
        path, axes, partial(_part_of_nifti, path), image=True, voxel=(known[2], known[1], known[0])
    )


def _part_of_nifti(path: Path, part: tuple[int | slice, ...]) -> np.ndarray:
    import nibabel

    try:
        image: Any = nibabel.load(path)
        return np.asarray(image.dataobj[part])
    except Exception as error:
        raise InputError(f"{path}: is damaged or truncated ({_reason(error)})") from None


@options
class DicomImages:
    """Single DICOM files, of one frame or several."""

    suffixes: ClassVar[tuple[str, ...]] = (".dcm",)

    def recognises(self, path: Path) -> bool:
        """Whether the file has DICOM's mark after 128 bytes."""
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"

    def open(self, path: str | Path) -> Volume:
        """The facts of the frames; InputError where they are no grey images."""
        path = Path(path)
        return _open_dicom(path, *stamp(path))


@lru_cache(maxsize=64)
def _open_dicom(path: Path, time: int, size: int) -> Volume:
    frames, sides = _frames(path, time, size)
    axes = parse_axes("slice,y,x", frames.shape, path, "image")
    return array_volume(
        path, axes, partial(_part_of_dicom, path, time, size), image=True, voxel=sides
    )


def _part_of_dicom(path: Path, time: int, size: int, part: tuple[int | slice, ...]) -> np.ndarray:
    return _frames(path, time, size)[0][part]


@lru_cache(maxsize=8)
def _frames(
    path: Path, time: int, size: int
) -> tuple[np.ndarray, tuple[float | None, float | None, float | None]]:
    """(frames, y, x) as float32, and the sides of a voxel."""
    pydicom = library("pydicom", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = pydicom.dcmread(path)
            if int(file.get("SamplesPerPixel", 1)) != 1:
                raise InputError(f"{path}: a picture in colours; magnitudes needed")
            count = int(file.get("NumberOfFrames", 1) or 1)
            fits_memory((count, int(file.Rows), int(file.Columns)), path, "the image")
            pixels = np.asarray(file.pixel_array, np.float32)
        slope, offset = (
            float(file.get(name, default))
            for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
        )
        spacing = [float(side) for side in file.get("PixelSpacing", [])]
        thickness = float(file.get("SliceThickness") or 0) or None
    except InputError:
        raise
    except Exception as error:  # a damaged file makes the library raise errors of many kinds
        raise InputError(f"{path}: no readable DICOM image ({_reason(error)})") from None
    frames = (pixels if pixels.ndim == 3 else pixels[None]) * slope + offset
    rows, columns = spacing if len(spacing) == 2 else (None, None)
    return frames, (thickness, rows, columns)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100]
