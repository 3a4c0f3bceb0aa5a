"""A bias-free U-net of real and imaginary part that is told how strong the noise is."""

from typing import Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.multi_scale import MultiScale, on_squares
from deqlab.networks.told_network import ToldNetwork


@options
class ToldUNetOptions(Options):
    """The architecture of a `ToldUNet`."""

    widths: tuple[Count, ...] = option((64, 96, 128), "channels at each scale, finest first")
    fold: Count = option(
        2,
        "pixels along a side that the network sees as channels of one: the finest scale is theirs",
    )
    level: Positive = option(
        0.02, "noise that the network removes unless it is told, relative to the image's peak"
    )

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")


class ToldUNet(ToldNetwork):
    """R(x) = x + N(Re x, Im x, level) on complex images (batch, y, x) of any size; N is a
    `MultiScale` network. Its arguments are `ToldUNetOptions`.

    level: a constant channel, as in FFDNet (K. Zhang, W. Zuo and L. Zhang, IEEE TIP 27, 2018); see
    `ToldDenoiser`. R(a x, a level) = a R(x, level) for a >= 0, and for no other number: it knows
    the phases that it was trained on, and those alone. R starts as the identity; it promises no
    Lipschitz bound.
    """

    Options = ToldUNetOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        folded = self.options.fold**2
        self.network = MultiScale(3 * folded, 2 * folded, self.options.widths)

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x). level: real (batch, 1, 1), in the units of the image; None
        for that of the options.
        """
        if level is None:
            level = self.options.level * image.abs().amax((-2, -1), keepdim=True)
        told = level.expand_as(image.real).unsqueeze(1)
        channels = torch.cat([to_channels(image), told], 1)
        change = on_squares(self.network, channels, self.options.fold)
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        return image + to_complex(change.to(image.real.dtype))
