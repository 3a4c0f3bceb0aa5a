"""The one border between complex images and real channels."""

import torch
from torch import Tensor


def to_channels(image: Tensor) -> Tensor:
    """Real (batch, 2, y, x), in channels_last memory, from complex (batch, y, x): real part first,
    imaginary part second.
    """
    # view_as_real is (batch, y, x, 2) in memory: exactly channels_last, so no sample is moved.
    return torch.view_as_real(image.resolve_conj()).permute(0, 3, 1, 2)


def to_complex(channels: Tensor) -> Tensor:
    """Complex (batch, y, x) from real (batch, 2, y, x); the inverse of `to_channels`."""
    return torch.view_as_complex(channels.permute(0, 2, 3, 1).contiguous())
