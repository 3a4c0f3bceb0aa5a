"""The unit of an image: the scale and the phase that a scanner's numbers happen to have."""

import torch
from torch import Tensor


def unit(projection: Tensor) -> Tensor:
    """max |A^H y| times a global phase of A^H y, complex (batch, 1, ..., 1); 1 where there is
    nothing.

    A network that is given y / u and whose image is multiplied by u turns with a global phase of
    k-space and scales with its intensity, whatever it computes in between.
    projection: A^H y, complex (batch, y, x) or (batch, z, y, x).
    """
    axes = tuple(range(1, projection.ndim))
    size = projection.abs()
    # Weighed by the modulus: the plain sum is the sample at the centre of k-space, which a mask may
    # leave out.
    total, peak = (size * projection).sum(axes, keepdim=True), size.amax(axes, keepdim=True)
    phase = torch.where(total == 0, torch.ones_like(total), total.sgn())
    return torch.where(peak > 0, peak, torch.ones_like(peak)) * phase
