"""Adaptive coil maps: at every pixel the combination of coils in which its neighbourhood is
brightest.

D. O. Walsh, A. F. Gmitro and M. W. Marcellin, Adaptive reconstruction of phased array MR imagery,
Magn Reson Med 43:682 (2000).
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.signal.coils.coil_maps import low_resolution_images
from deqlab.signal.coils.eigenvectors import aligned, dominant_eigenvector


@options
class Walsh:
    """Dominant eigenvectors of the coils' local covariance in low-resolution coil images, for data
    that have too few lines for ESPIRiT.

    One pixel gives the maps of `LowResolution`; larger squares average noise away and blur the maps
    where these change quickly. The maps carry the low-resolution phase of the object.
    """

    neighbourhood: Count = option(
        5, "side in pixels of the square that a covariance is averaged over, odd"
    )

    def __post_init__(self) -> None:
        if self.neighbourhood % 2 == 0:
            raise InputError(
                f"neighbourhood: {self.neighbourhood} given, an odd number of pixels needed"
            )

    def estimate(self, kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor:
        """The maps, complex (..., coil, y, x); see `estimate_coil_maps`."""
        images = low_resolution_images(kspace, lines, rows).reshape(-1, *kspace.shape[-3:])
        covariance = self._averaged(images.unsqueeze(-3) * images.unsqueeze(-4).conj()).flatten(-2)
        # Over its trace, so that no pixel is too faint for a power iteration.
        trace = torch.einsum("bccp->bp", covariance).real
        covariance = covariance / torch.where(trace > 0, trace, 1)[:, None, None]
        images = images.flatten(-2)
        # The images themselves are a start so near that a few products do.
        maps, _ = dominant_eigenvector(covariance, images, max_products=12)
        return aligned(maps, images).reshape(kspace.shape)

    def _averaged(self, covariance: Tensor) -> Tensor:
        """The mean over the neighbourhood of every pixel, complex (batch, coil, coil, y, x); at the
        rim over what lies inside.
        """
        side = self.neighbourhood
        parts = torch.view_as_real(covariance).movedim(-1, 0)
        shape = parts.shape
        mean = avg_pool2d(
            parts.reshape(-1, 1, *shape[-2:]),
            side,
            stride=1,
            padding=side // 2,
            count_include_pad=False,
        )
        return torch.complex(*mean.reshape(shape))
