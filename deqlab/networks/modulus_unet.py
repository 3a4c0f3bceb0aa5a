"""A bias-free U-net of complex features, whose filters treat real and imaginary part alike and
whose nonlinearities see moduli alone: a global phase of the image is none of its business.

Real filters commute with every complex number, and so does a gate that depends on moduli. A phase
that varies slowly is nearly constant within a filter's reach; where it jumps, as from fat to water,
the filters see the jump itself. Complex networks with nonlinearities of the modulus: P. Virtue, S.
X. Yu and M. Lustig, Better than real: complex-valued neural nets for MRI fingerprinting, ICIP 2017;
E. Cole, J. Cheng, J. Pauly and S. Vasanawala, Analysis of deep complex-valued convolutional neural
networks for MRI reconstruction and phase-focused applications, MRM 86 (2021).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.networks.multi_scale import SMALL, MultiScale, on_squares
from deqlab.networks.told_network import ToldNetwork


@options
class ModulusUNetOptions(Options):
    """The architecture of a `ModulusUNet`."""

    widths: tuple[Count, ...] = option((48, 72, 96), "channels at each scale, finest first")
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


class ModulusUNet(ToldNetwork):
    """R(x) = x + N(x, level) on complex images (batch, y, x) of any size; N is a `MultiScale`
    network of `ModulusBlock`s. Its arguments are `ModulusUNetOptions`.

    R(c x, |c| level) = c R(x, level) for every complex number c, and nearly so for a c that varies
    slowly. Each filter acts twice, on real and on imaginary part, so that a weight costs twice the
    work of one elsewhere. R starts as the identity; it promises no Lipschitz bound.
    """

    Options = ModulusUNetOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        folded = self.options.fold**2
        self.network = MultiScale(folded, folded, self.options.widths, ModulusBlock)

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x). level: real (batch, 1, 1), in the units of the image; None
        for that of the options.
        """
        inside, level, unit = self.in_units_of_peak(image, level)
        parts = torch.cat([inside.real, inside.imag]).unsqueeze(1)
        told = level.expand(len(image), 1, 1).unsqueeze(1)
        change = on_squares(self.network, parts, self.options.fold, told)
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        real, imaginary = change.squeeze(1).to(image.real.dtype).chunk(2)
        return image + unit * torch.complex(real, imaginary)


class ModulusBlock(nn.Module):
    """h + B g(A h) with real convolutions A, B and K, 3x3, and the gate g(z) = z relu(K |z| + k
    level) / sqrt(mean |z|^2 + level^2), the mean over channels.

    Features are real (2 batch, width, y, x): the real parts of all samples, then the imaginary
    parts. The gate is a real number at each pixel of each channel: it commutes with every complex
    number, and stays bounded where one channel vanishes, as the phase z / |z| would not.
    """

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second, self.gate = (
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(3)
        )
        self.told = nn.Parameter(torch.zeros(width, 1, 1))
        with torch.no_grad():
            self.second.weight.mul_(SMALL)
            # Nearly |z| itself: every channel is open at first, for moduli have one sign, and a row
            # of random weights would shut half of the channels at every pixel.
            own = nn.init.dirac_(torch.empty_like(self.gate.weight))
            self.gate.weight.mul_(SMALL).add_(own)

    def forward(self, features: Tensor, level: Tensor) -> Tensor:
        """The features, changed. level: real (batch, 1, 1, 1)."""
        return features + self.second(self.gated(self.first(features), level))

    def gated(self, features: Tensor, level: Tensor) -> Tensor:
        """g(z), as z."""
        real, imaginary = features.chunk(2)
        squares = real.square() + imaginary.square()
        # Finite slopes at 0, and never 0 / 0.
        tiny = torch.finfo(squares.dtype).tiny
        scale = squares.mean(1, keepdim=True) + level.square().to(squares.dtype)
        sizes = self.gate((squares + tiny).sqrt())
        gate = functional.relu(sizes + (self.told * level).to(sizes.dtype))
        gate = gate / (scale + tiny).sqrt()
        return torch.cat([real * gate, imaginary * gate])
