"""Formats of image files by name, one line each; the first is that of a name without ending."""

from pathlib import Path

from deqlab.app.image_files.fastmri_images import FastMRIImages
from deqlab.app.image_files.nifti_images import NiftiImages, PackedNiftiImages
from deqlab.app.image_files.numpy_images import NumpyImages
from deqlab.app.image_files.picture import Picture
from deqlab.app.image_files.protocol import ImageFile
from deqlab.core.errors import InputError
from deqlab.core.registry import Registry

IMAGE_FILES: Registry[ImageFile] = Registry(
    "image format",
    {
        "fastmri": FastMRIImages,
        "numpy": NumpyImages,
        "nifti": NiftiImages,
        "nifti-packed": PackedNiftiImages,
        "picture": Picture,
    },
)
# Endings behind endings.
PACKED = (".gz", ".bz2", ".xz", ".zip")


def endings() -> list[str]:
    """Those of all formats, in the order of the registry."""
    return [ending for name in IMAGE_FILES for ending in IMAGE_FILES[name].endings]


def written_as(path: str | Path) -> ImageFile:
    """The format that the ending of a file's name asks for; InputError where it asks for none that
    is written.
    """
    path = Path(path)
    if not path.suffix:
        return IMAGE_FILES.make(next(iter(IMAGE_FILES)))
    for name in IMAGE_FILES:
        if path.name.lower().endswith(IMAGE_FILES[name].endings):
            return IMAGE_FILES.make(name)
    packed = path.suffix.lower() in PACKED
    whole = "".join(path.suffixes[-2:]) if packed else path.suffix
    *others, last = endings()
    raise InputError(f"{path}: {whole} given; {', '.join(others)} or {last} needed")


def picture_at(path: str | Path) -> Path:
    """The path itself; InputError where its ending is not that of a picture."""
    path = Path(path)
    if path.suffix.lower() not in Picture.endings:
        given = path.suffix or "no ending"
        wanted = " or ".join(Picture.endings)
        raise InputError(f"{path}: {given} given, but a quick look is a picture; {wanted} needed")
    return path
