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
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.multi_scale import MultiScale

# What is added to squared moduli before a root is taken, relative to their mean: far below what any
# image resolves, and enough for slopes that are finite at 0.
FLOOR = 1e-12


@options
class DemodulatedUNetOptions(Options):
    """The architecture of a `DemodulatedUNet`."""

    widths: tuple[Count, ...] = option((32, 64, 96, 128), "channels at each scale, finest first")
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


class DemodulatedUNet(nn.Module):
    """R(x) = x + p N(conj(p) x, conj(p) G' x, ..., |x|) on complex images (batch, y, x) of any
    size, with p = G x / |G x|; N is a `MultiScale` network. Its arguments are
    `DemodulatedUNetOptions`.

    G and the G' are Gaussian averages. R(c x) = c R(x) for every complex number c, and nearly so
    for a c that varies slowly. R starts as the identity; it promises no Lipschitz bound.
    """

    Options = DemodulatedUNetOptions
    lipschitz: float | None = None
    residual = True

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        inside = 3 + 2 * len(self.options.wide)
        self.network = MultiScale(inside, 2, self.options.widths)

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def forward(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""
        # In units of its peak, so that no square leaves the range of the numbers. R commutes with
        # the unit, so the gradient need not know of it.
        unit = image.detach().abs().amax((-2, -1), keepdim=True)
        inside = image / torch.where(unit > 0, unit, torch.ones_like(unit))
        phase = local_phase(gaussian_blur(inside, self.options.blur))
        seen = [inside, *(gaussian_blur(inside, sigma) for sigma in self.options.wide)]
        turned = [to_channels(phase.conj() * part) for part in seen]
        channels = torch.cat([*turned, modulus(inside).unsqueeze(1)], 1)
        change = self.network(channels.contiguous(memory_format=torch.channels_last))
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
