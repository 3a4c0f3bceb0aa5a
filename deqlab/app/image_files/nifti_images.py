"""Images for viewers of volumes: NIfTI-1, by nibabel.

Axes are (column, row, slice), the fastest first. fastMRI's files do not say how the patient lay, so
the codes of both transforms are 0, "unknown", and viewers assume what they like. No name, place or
date goes into the file.
"""

import gzip
from typing import ClassVar

import numpy as np

from deqlab.app.image_files.protocol import ImageFile
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.errors import InputError
from deqlab.core.options import options

LONGEST = 2**15 - 1  # voxels along an axis, which the header counts in 16 bits
ASSUMED = 1.0  # mm, where nothing says a side of the voxel


@options
class NiftiImages(ImageFile):
    """One float32 volume, with the sides of its voxels in mm as far as the input says them."""

    endings: ClassVar[tuple[str, ...]] = (".nii",)

    def content(self, result: Reconstruction) -> bytes:
        """As nibabel writes it. InputError for an axis too long for the format."""
        import nibabel  # imported here because it takes a while

        if max(result.images.shape) > LONGEST:
            raise InputError(
                f"{'x'.join(map(str, result.images.shape))} voxels: NIfTI holds at most {LONGEST}"
                " along an axis; .h5 or .npy needed"
            )
        image = nibabel.Nifti1Image(result.images.astype(np.float32).T, affine=None)
        sides = _sides(result)
        image.header.set_zooms([ASSUMED if side is None else side for side in sides[::-1]])
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = _told(sides)
        content: bytes = image.to_bytes()
        return content


@options
class PackedNiftiImages(NiftiImages):
    """The same, compressed."""

    endings: ClassVar[tuple[str, ...]] = (".nii.gz",)

    def content(self, result: Reconstruction) -> bytes:
        """As `NiftiImages.content`, without the time of its making."""
        return gzip.compress(super().content(result), mtime=0)

    def room(self, blank: Reconstruction) -> int:
        """That of the uncompressed file, for an image without noise is packed to nothing."""
        return len(NiftiImages().content(blank))


def _sides(result: Reconstruction) -> tuple[float | None, ...]:
    """(slice, row, column) in mm; of slices, the distance of those that were chosen."""
    depth, *sides = result.voxel
    steps = set(np.abs(np.diff(result.slices)).tolist()) or {1}
    known = depth is not None and len(steps) == 1
    return (depth * steps.pop() if known else None, *sides)


def _told(sides: tuple[float | None, ...]) -> str:
    """What the header's 80 bytes say of the voxels."""
    missing = [name for name, side in zip(("slice", "row", "column"), sides) if side is None]
    if missing:
        return f"unknown, taken as {ASSUMED:g} mm: {', '.join(missing)}; orientation unknown"
    return "voxel = field of view / matrix, no slice gap known; orientation unknown"
