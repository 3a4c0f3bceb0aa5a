"""Coil maps refined by a small U-net, coil by coil.

Z. Ramzi, P. Ciuciu and J.-L. Starck, XPDNet for MRI reconstruction, arXiv:2010.07290, and as in A.
Sriram et al., End-to-end variational networks for accelerated MRI reconstruction, MICCAI 2020: maps
of low resolution, which a few central lines give, are made those that the whole scan agrees with.
"""

from typing import Any

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.multi_scale import MultiScale

# Added to the sum of squares before its root is taken: a slope of at most 1e4 where a network's
# change cancels its maps.
FLOOR = 1e-8


@options
class CoilRefinerOptions(Options):
    """The architecture of a `CoilRefiner`."""

    widths: tuple[Count, ...] = option((8, 16, 32), "channels at each scale, finest first")

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")


class CoilRefiner(nn.Module):
    """c' = (c + N(c)) / rss(c + N(c)) on coil maps complex (batch, coil, y, x) or (batch, coil, z,
    y, x), N a `MultiScale` network that sees one coil (and one plane) at a time. Its arguments are
    `CoilRefinerOptions`.

    So neither the number nor the order of coils matters, and a phase of one coil turns its map and
    no other. sum |c'|^2 = 1 wherever some coil sees something; where none does, as outside of the
    object in cropped maps, it stays 0. N starts as 0, and so maps of unit root-sum-of-squares stay
    what they are.
    """

    Options = CoilRefinerOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        self.network = MultiScale(2, 2, self.options.widths)

    def forward(self, coil_maps: Tensor) -> Tensor:
        """The refined maps, of the same shape."""
        planes = coil_maps.reshape(-1, *coil_maps.shape[-2:])
        phase = _phase(coil_maps).expand_as(coil_maps).reshape(planes.shape)
        change = self.network(to_channels(phase.conj() * planes)).to(planes.real.dtype)
        maps = (planes + phase * to_complex(change)).reshape(coil_maps.shape)
        root = (_energy(maps) + FLOOR).sqrt()
        return torch.where(_energy(coil_maps) > 0, maps / root, torch.zeros_like(maps))


def _energy(maps: Tensor) -> Tensor:
    """sum |c|^2 over the coils, real (batch, 1, ...)."""
    return (maps.real.square() + maps.imag.square()).sum(1, keepdim=True)


def _phase(maps: Tensor) -> Tensor:
    """The phase of each coil as a whole, of modulus 1: complex (batch, coil, 1, ...)."""
    total = (maps.abs() * maps).sum(tuple(range(2, maps.ndim)), keepdim=True)
    return torch.where(total == 0, torch.ones_like(total), total.sgn())
