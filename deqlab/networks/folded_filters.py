"""Convolutions of one channel as convolutions of many channels on an image of fewer places."""

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

# Pixels along a side that a convolution takes as channels of one: one channel in and few out leave
# a processor idle, and this takes an eighth of the time. Kernels reach over one neighbour then.
FOLD = 4
WIDEST = 2 * FOLD + 1


def folded(channels: Tensor) -> Tensor:
    """Squares of FOLD pixels along a side as channels, padded with zeros: (batch, FOLD^2, y, x)."""
    rows, columns = channels.shape[-2:]
    even = pad(channels, (0, -columns % FOLD, 0, -rows % FOLD))
    return pixel_unshuffle(even, FOLD).contiguous(memory_format=torch.channels_last)


def folded_back(squares: Tensor, like: Tensor) -> Tensor:
    """The adjoint of `folded`, of the size of `like`."""
    return pixel_shuffle(squares, FOLD)[..., : like.shape[-2], : like.shape[-1]]


def polyphase(kernels: Tensor) -> Tensor:
    """The convolution with kernels (filter, n, n), n <= WIDEST odd, as one on folded images: real
    (filter FOLD^2, FOLD^2, 3, 3).
    """
    size, phase = kernels.shape[-1], torch.arange(FOLD, device=kernels.device)
    # The tap that leads from the pixel p of a square to the pixel q of its neighbour d.
    tap = FOLD * torch.arange(-1, 2, device=kernels.device) + phase[:, None] - phase[:, None, None]
    tap = tap + size // 2
    tap = torch.where((tap >= 0) & (tap < size), tap, size).flatten()
    taps = pad(kernels, (0, 1, 0, 1))[:, tap][:, :, tap]
    taps = taps.unflatten(2, (FOLD, FOLD, 3)).unflatten(1, (FOLD, FOLD, 3))
    return taps.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, FOLD**2, 3, 3)
