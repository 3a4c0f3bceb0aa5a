"""Images as fastMRI submissions have them, and how each came about."""

from collections.abc import Mapping
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
        told = {**result.attributes, "preparation": result.preparation}
        return hdf5_bytes(
            {"reconstruction": result.images, **_sampled(result)},
            told,
            {"reconstruction": _per_slice(result)},
        )

    def side_by_side(self, results: Mapping[str, Reconstruction]) -> bytes:
        """`reconstruction` is a group with such a data set for each model, called as in the table
        of `deqlab evaluate`; of a path, `/` is written `:`.
        """
        (first, *_) = results.values()
        told = {**first.attributes, "preparation": first.preparation}
        told["model"] = ", ".join(results)
        names = {name: f"reconstruction/{name.replace('/', ':')}" for name in results}
        return hdf5_bytes(
            {names[name]: result.images for name, result in results.items()} | _sampled(first),
            told,
            {
                names[name]: {"model": name, **_per_slice(result)}
                for name, result in results.items()
            },
        )


def _sampled(result: Reconstruction) -> dict[str, np.ndarray]:
    return {} if result.mask is None else {"mask": result.mask}


def _per_slice(result: Reconstruction) -> dict[str, np.ndarray]:
    """What is known of every slice."""
    known = {"slices": np.asarray(result.slices)}
    if result.evaluations:
        known["evaluations"] = np.asarray(result.evaluations)
        known["residual"] = np.asarray(result.residual)
        known["converged"] = np.asarray(result.converged)
    if result.noise:
        known["noise"] = np.asarray(result.noise)
    if np.isfinite(result.explained).any():
        known["coil_maps_explain"] = np.asarray(result.explained)
    return known
