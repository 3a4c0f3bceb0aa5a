"""The U of a U-net: residual blocks at several scales, between real channels.

O. Ronneberger, P. Fischer and T. Brox, U-Net: convolutional networks for biomedical image
segmentation, MICCAI 2015; residual blocks, strided convolutions between the scales and additive
skips as in DRUNet (K. Zhang et al., Plug-and-play image restoration with deep denoiser prior, IEEE
TPAMI 44, 2022); no biases, so that the map commutes with the scale of its input (S. Mohan et al.,
Robust and interpretable blind image denoising via bias-free CNNs, ICLR 2020).
"""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options

# The second convolution of a block starts at this share of its usual size: a block is nearly the
# identity then, so that depth does not amplify.
SMALL = 0.3


class ResidualBlock(nn.Module):
    """h + B relu(A h) with convolutions A and B 3x3, real (batch, width, y, x)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = _convolution(width, width), _convolution(width, width)
        with torch.no_grad():
            self.second.weight.mul_(SMALL)

    def forward(self, features: Tensor) -> Tensor:
        """The features, changed."""
        return features + self.second(functional.relu(self.first(features)))


class MultiScale(nn.Module):
    """N: real (batch, inside, y, x) of any size to (batch, outside, y, x), N(a h) = a N(h), a >= 0.

    widths: channels at each scale, finest first; each further scale halves both sides. Sizes that
    do not fit are padded with zeros and cropped. N starts as 0. block: makes the block of a width,
    which maps features, and whatever else N is given, to features.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        widths: Sequence[int],
        block: Callable[[int], nn.Module] = ResidualBlock,
    ):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.inside, self.outside = (
            _convolution(inside, widths[0]),
            _convolution(widths[0], outside),
        )
        self.encoders = nn.ModuleList(block(width) for width in widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2, bias=False) for fine, coarse in pairs
        )
        self.middle = block(widths[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(block(width) for width in widths[:-1])
        nn.init.zeros_(self.outside.weight)
        # torch's annotations of Module.to leave memory_format alone out
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, channels: Tensor, *told: Tensor) -> Tensor:
        """N(h). told: what every block is given beside its features."""
        rows, columns = channels.shape[-2:]
        multiple = 2 ** len(self.down)
        padding = (0, -columns % multiple, 0, -rows % multiple)
        features = self.inside(functional.pad(channels, padding))
        skipped = []
        for encoder, down in zip(self.encoders, self.down):
            features = encoder(features, *told)
            skipped.append(features)
            features = down(features)
        features = self.middle(features, *told)
        levels = zip(reversed(self.up), reversed(self.decoders), reversed(skipped))
        for up, decoder, skip in levels:
            features = decoder(up(features) + skip, *told)
        return self.outside(features)[..., :rows, :columns]


def on_squares(network: MultiScale, channels: Tensor, fold: int, *told: Tensor) -> Tensor:
    """N of the pixels in squares of `fold`, each square one position of many channels: real (batch,
    inside / fold^2, y, x) of any size to (batch, outside / fold^2, y, x).
    """
    rows, columns = channels.shape[-2:]
    even = functional.pad(channels, (0, -columns % fold, 0, -rows % fold))
    squares = functional.pixel_unshuffle(even, fold).contiguous(memory_format=torch.channels_last)
    return functional.pixel_shuffle(network(squares, *told), fold)[..., :rows, :columns]


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=False)


@options
class MultiScaleNetwork:
    """A `MultiScale` network, for whoever says between how many channels."""

    widths: tuple[Count, ...] = option((16, 32, 64), "channels at each scale, finest first")

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")

    def build(self, inside: int, outside: int) -> MultiScale:
        """The network, from `inside` to `outside` channels."""
        return MultiScale(inside, outside, self.widths)
