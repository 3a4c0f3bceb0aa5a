"""A bias-free U-net that looks at an image turned by its own local phase, so that a phase of the
image is none of its business.

Scans have phase that simulations lack: fat beside water, coils, flow, an echo off centre. A network
that takes real and imaginary part as two channels has to learn every angle of every edge; this one
sees each neighbourhood at the angle zero. Demodulation by a low-resolution phase is that of
homodyne reconstruction: D. C. Noll, D. G. Nishimura and A. Macovski, Homodyne detection in magnetic
resonance imaging, IEEE TMI 10 (1991).
"""

from typing import Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.multi_scale import MultiScale, on_squares
from deqlab.networks.told_network import ToldNetwork

# What is added to squared moduli before a root is taken, relative to their mean: far below what any
# image resolves, and enough for slopes that are finite at 0.
FLOOR = 1e-12


@options
class DemodulatedUNetOptions(Options):
    """The architecture of a `DemodulatedUNet`."""

    widths: tuple[Count, ...] = option((64, 96, 128), "channels at each scale, finest first")
    fold: Count = option(
        2,
        "pixels along a side that the network sees as channels of one: the finest scale is theirs",
    )
    level: Positive = option(
        0.02, "noise that the network removes unless it is told, relative to the image's peak"
    )
    blur: Positive = option(
        1.2, "standard deviation in pixels of the Gaussian whose phase is taken out"
    )
    wide: tuple[Positive, ...] = option(
        (2.5, 6.0),
        "standard deviations of Gaussians whose averages the network sees as well: in air a"
        " demodulated image is rectified noise, and only averages say that it has no mean",
    )

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")


class DemodulatedUNet(ToldNetwork):
    """R(x) = x + p N(conj(p) x, conj(p) G' x, ..., |x|, level) on complex images (batch, y, x) of
    any size, with p = G x / |G x|; N is a `MultiScale` network. Its arguments are
    `DemodulatedUNetOptions`.

    G and the G' are Gaussian averages. level: the standard deviation of the noise (of real and of
    imaginary part), a constant channel, so that one network is as strong as it is told to be (K.
    Zhang, W. Zuo and L. Zhang, FFDNet: toward a fast and flexible solution for CNN-based image
    denoising, IEEE TIP 27, 2018, which folds pixels into channels, too). R(c x, |c| level) = c R(x,
    level) for every complex number c, and nearly so for a c that varies slowly. R starts as the
    identity; it promises no Lipschitz bound.
    """

    Options = DemodulatedUNetOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        inside, folded = 4 + 2 * len(self.options.wide), self.options.fold**2
        self.network = MultiScale(inside * folded, 2 * folded, self.options.widths)

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x). level: real (batch, 1, 1), in the units of the image; None
        for that of the options.
        """
        inside, level, unit = self.in_units_of_peak(image, level)
        phase = local_phase(gaussian_blur(inside, self.options.blur))
        seen = [inside, *(gaussian_blur(inside, sigma) for sigma in self.options.wide)]
        turned = [to_channels(phase.conj() * part) for part in seen]
        told = level.expand_as(inside.real).unsqueeze(1)
        channels = torch.cat([*turned, modulus(inside).unsqueeze(1), told], 1)
        change = on_squares(self.network, channels, self.options.fold)
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        return image + unit * (phase * to_complex(change.to(image.real.dtype)))


def local_phase(average: Tensor) -> Tensor:
    """exp(i phase) of an image (batch, y, x), differentiable everywhere: where there is nothing, it
    is 0.
    """
    return average / (modulus(average) + torch.finfo(average.real.dtype).tiny)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """A complex image (batch, y, x) averaged by a Gaussian of `sigma` pixels, zero beyond its
    borders.
    """
    rows, columns = (_gaussian_matrix(length, sigma, image) for length in image.shape[-2:])
    # These few products stay in full precision. A product with a matrix takes less time than a
    # convolution of one channel.
    with torch.autocast(image.device.type, enabled=False):
        return torch.complex(rows @ image.real @ columns, rows @ image.imag @ columns)


def _gaussian_matrix(length: int, sigma: float, like: Tensor) -> Tensor:
    position = torch.arange(length, device=like.device, dtype=like.real.dtype)
    weights = torch.exp(-((position[:, None] - position) ** 2) / (2 * sigma**2))
    return weights / (sigma * (2 * torch.pi) ** 0.5)


def modulus(image: Tensor) -> Tensor:
    """|x|, differentiable at 0 too: real (batch, y, x)."""
    squared = image.real**2 + image.imag**2
    floor = FLOOR * squared.mean((-2, -1), keepdim=True)
    return (squared + floor + torch.finfo(squared.dtype).tiny).sqrt()
