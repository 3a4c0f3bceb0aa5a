"""Images as fastMRI submissions have them, and how each came about."""

from typing import ClassVar

import numpy as np

from deqlab.app.image_files.protocol import ImageFile
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.options import options
from deqlab.data.formats.write_fastmri import hdf5_bytes


@options
class FastMRIImages(ImageFile):
    """HDF5: `reconstruction` float32 (slices, h, w), and its attributes `slices`, `evaluations`,
    `residual` and `converged`, `noise` and `coil_maps_explain`, one entry per slice where known.
    """

    endings: ClassVar[tuple[str, ...]] = (".h5", ".hdf5")

    def content(self, result: Reconstruction) -> bytes:
        """The output file of `result`."""
        per_slice: dict[str, np.ndarray] = {"slices": np.asarray(result.slices)}
        if result.evaluations:
            per_slice["evaluations"] = np.asarray(result.evaluations)
            per_slice["residual"] = np.asarray(result.residual)
            per_slice["converged"] = np.asarray(result.converged)
        if result.noise:
            per_slice["noise"] = np.asarray(result.noise)
        if np.isfinite(result.explained).any():
            per_slice["coil_maps_explain"] = np.asarray(result.explained)
        sampled = {} if result.mask is None else {"mask": result.mask}
        told = {**result.attributes, "preparation": result.preparation}
        return hdf5_bytes(
            {"reconstruction": result.images, **sampled}, told, {"reconstruction": per_slice}
        )
