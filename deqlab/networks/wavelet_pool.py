"""The Haar transform as a pooling that loses nothing: half the rows and columns, four times the
channels, and a way back.

P. Liu, H. Zhang, K. Zhang, L. Lin and W. Zuo, Multi-level wavelet-CNN for image restoration, CVPRW
2018, section 3.1. Orthonormal here, so that white noise keeps its standard deviation.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle


def wavelet_split(channels: Tensor) -> Tensor:
    """W h, real (batch, 4 channel, (y + 1) // 2, (x + 1) // 2) from (batch, channel, y, x) of any
    size: of each channel its mean, its horizontal, its vertical and its diagonal differences, side
    by side.

    An odd side is continued by zeros: W^H W is the identity of every size, W W^H that of even ones.
    """
    rows, columns = channels.shape[-2:]
    return _mixed(pixel_unshuffle(pad(channels, (0, columns % 2, 0, rows % 2)), 2))


def wavelet_join(bands: Tensor, size: tuple[int, int]) -> Tensor:
    """W^H b, the inverse of `wavelet_split` for channels of `size` (y, x)."""
    return pixel_shuffle(_mixed(bands), 2)[..., : size[0], : size[1]]


def _mixed(squares: Tensor) -> Tensor:
    """Sums and differences of each four channels, a map that is its own inverse and adjoint."""
    a, b, c, d = squares.unflatten(1, (-1, 4)).unbind(2)
    top, bottom, across, below = a + b, c + d, a - b, c - d
    bands = (top + bottom, across + below, top - bottom, across - below)
    return torch.stack(bands, 2).flatten(1, 2) / 2
