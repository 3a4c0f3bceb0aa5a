"""A U-net that sees magnitudes, as the published baseline of fastMRI does.

J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839,
section 5.2. Departures: blocks, skips and the change that is added to the image are those of
`MultiScale`; the image keeps the phase that it came with, so that it is complex like all others.
"""

from typing import Any

import torch
from torch import Tensor, nn

from deqlab.core.options import Count, Options, option, options
from deqlab.networks.multi_scale import MultiScale


@options
class MagnitudeUNetOptions(Options):
    """The architecture of a `MagnitudeUNet`."""

    widths: tuple[Count, ...] = option((16, 32, 64, 128), "channels at each scale, finest first")


class MagnitudeUNet(nn.Module):
    """R(x) = (|x| + N(|x|)) x / |x| on complex images (batch, y, x) of any size; N is a
    `MultiScale` network of one channel. Its arguments are `MagnitudeUNetOptions`.

    R(c x) = c R(x) for every complex number c, and for every c of modulus 1 that differs from pixel
    to pixel: what a network of magnitudes makes of a phase is nothing. It promises no Lipschitz
    bound. Where x is 0 its phase counts as 0.
    """

    Options = MagnitudeUNetOptions
    lipschitz: float | None = None
    residual = True

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        self.network = MultiScale(1, 1, self.options.widths)

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def forward(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""
        phase = torch.where(image == 0, torch.ones_like(image), image.sgn())
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        change = self.network(image.abs().unsqueeze(1)).squeeze(1).to(image.real.dtype)
        return image + phase * change
