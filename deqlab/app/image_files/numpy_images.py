"""Images as one array for numpy.load."""

import io
from typing import ClassVar

import numpy as np

from deqlab.app.image_files.protocol import ImageFile
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.options import options


@options
class NumpyImages(ImageFile):
    """float32 (slices, h, w), and nothing else."""

    endings: ClassVar[tuple[str, ...]] = (".npy",)

    def content(self, result: Reconstruction) -> bytes:
        """As numpy.save writes it."""
        buffer = io.BytesIO()
        np.save(buffer, result.images.astype(np.float32, copy=False), allow_pickle=False)
        return buffer.getvalue()
