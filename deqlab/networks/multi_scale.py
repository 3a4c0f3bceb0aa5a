"""The U of a U-net: residual blocks at several scales, between real channels.

O. Ronneberger, P. Fischer and T. Brox, U-Net: convolutional networks for biomedical image
segmentation, MICCAI 2015; residual blocks, strided convolutions between the scales and additive
skips as in DRUNet (K. Zhang et al., Plug-and-play image restoration with deep denoiser prior, IEEE
TPAMI 44, 2022); no biases, so that the map commutes with the scale of its input (S. Mohan et al.,
Robust and interpretable blind image denoising via bias-free CNNs, ICLR 2020).
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# The second convolution of a block starts at this share of its usual size: a block is nearly the
# identity then, so that depth does not amplify.
SMALL = 0.3


class MultiScale(nn.Module):
    """N: real (batch, inside, y, x) of any size to (batch, outside, y, x), N(a h) = a N(h), a >= 0.

    widths: channels at each scale, finest first; each further scale halves both sides. Sizes that
    do not fit are padded with zeros and cropped. N starts as 0.
    """

    def __init__(self, inside: int, outside: int, widths: Sequence[int]):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.inside, self.outside = (
            _convolution(inside, widths[0]),
            _convolution(widths[0], outside),
        )
        self.encoders = nn.ModuleList(ResidualBlock(width) for width in widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2, bias=False) for fine, coarse in pairs
        )
        self.middle = ResidualBlock(widths[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(ResidualBlock(width) for width in widths[:-1])
        nn.init.zeros_(self.outside.weight)
        # torch's annotations of Module.to leave memory_format alone out
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, channels: Tensor) -> Tensor:
        """N(h)."""
        rows, columns = channels.shape[-2:]
        multiple = 2 ** len(self.down)
        padding = (0, -columns % multiple, 0, -rows % multiple)
        features = self.inside(functional.pad(channels, padding))
        skipped = []
        for encoder, down in zip(self.encoders, self.down):
            features = encoder(features)
            skipped.append(features)
            features = down(features)
        features = self.middle(features)
        levels = zip(reversed(self.up), reversed(self.decoders), reversed(skipped))
        for up, decoder, skip in levels:
            features = decoder(up(features) + skip)
        return self.outside(features)[..., :rows, :columns]


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


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=False)
