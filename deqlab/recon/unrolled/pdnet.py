"""PD-net: the primal-dual algorithm, unrolled, with a network in place of each proximal operator.

J. Adler and O. Oektem, Learned primal-dual reconstruction, IEEE TMI 37 (2018), on k-space as in J.
Cheng et al., Model learning: primal dual networks for fast MR imaging, MICCAI 2019. Departures: the
dual network sees the coils one by one, so that their number and order do not matter; the image
starts as the zero-filled one and not as zero; k-space is brought to one scale and phase.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.options import Count, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.recon.base import CARTESIAN, Takes
from deqlab.recon.unrolled.base import Measured, Unrolled

# Convolutions of images and of volumes, and how their features lie in memory.
LAYERS: dict[int, tuple[type[nn.Conv2d] | type[nn.Conv3d], torch.memory_format]] = {
    2: (nn.Conv2d, torch.channels_last),
    3: (nn.Conv3d, torch.channels_last_3d),
}


@options
class PDNetOptions(Options):
    """The architecture of `PDNet`; the defaults are the published size, 0.32 M parameters."""

    iterations: Count = option(10, "pairs of a dual and a primal step, each with its own weights")
    primal: Count = option(5, "images that are carried along; the first meets the operator")
    dual: Count = option(5, "k-spaces of each coil that are carried along; the first meets it too")
    width: Count = option(32, "channels of the two hidden layers of each network")

    sizes: ClassVar[Sizes] = {
        "small": {"iterations": 5, "primal": 3, "dual": 3, "width": 16},
        "published": {"iterations": 10, "primal": 5, "dual": 5, "width": 32},
    }


@dataclass(frozen=True)
class Buffers:
    """images: complex (batch, primal, y, x). kspaces: complex (batch, coil, dual, y, x)."""

    images: Tensor
    kspaces: Tensor


class PDNet(Unrolled[Buffers]):
    """image = x_n[0] after n steps d <- d + G(d, A x[0], y), x <- x + P(x, A^H d[0]). Its arguments
    are `PDNetOptions`.

    x: buffers of images; d: buffers of k-spaces, of every coil; G and P: three convolutions 3x3 of
    real and imaginary parts, each step with its own.
    """

    Options = PDNetOptions
    takes: ClassVar[Takes] = CARTESIAN

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        size, steps = self.options, range(self.options.iterations)
        self.dual = nn.ModuleList(Step(size.dual + 2, size.dual, size.width) for _ in steps)
        self.primal = nn.ModuleList(Step(size.primal + 1, size.primal, size.width) for _ in steps)

    @property
    def depth(self) -> int:
        """Pairs of a dual and a primal step."""
        return self.options.iterations

    def start(self, measured: Measured) -> Buffers:
        """The zero-filled image in every buffer, and no k-space."""
        y = measured.kspace.unsqueeze(2)
        x = measured.projection.unsqueeze(1).repeat(1, self.options.primal, 1, 1)
        return Buffers(x, torch.zeros_like(y).repeat(1, 1, self.options.dual, 1, 1))

    def step(self, index: int, state: Buffers, measured: Measured) -> Buffers:
        """The dual step, then the primal one."""
        x, d, A = state.images, state.kspaces, measured.A
        seen = torch.cat((d, A(x[:, 0]).unsqueeze(2), measured.kspace.unsqueeze(2)), 2)
        # Each coil is a member of a larger batch.
        d = d + self.dual[index](seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        x = x + self.primal[index](torch.cat((x, A.H(d[:, :, 0]).unsqueeze(1)), 1))
        return Buffers(x, d)

    def image(self, state: Buffers) -> Tensor:
        """The first buffer, which meets the operator."""
        return state.images[:, 0]


class Step(nn.Module):
    """Three convolutions 3x3 with ReLU between: complex (batch, inside, y, x) to (batch, outside,
    y, x); 3x3x3 where `dimensions` is 3, with (z, y, x) for (y, x).
    """

    def __init__(self, inside: int, outside: int, width: int, dimensions: int = 2):
        super().__init__()
        convolution, self.memory = LAYERS[dimensions]
        layers = [
            convolution(a, b, 3, padding=1)
            for a, b in ((2 * inside, width), (width, width), (width, 2 * outside))
        ]
        with torch.no_grad():
            # Steps that begin small: many of them follow one another.
            last = dict(layers[-1].named_parameters())
            last["weight"].mul_(0.1)
            last["bias"].zero_()
        self.layers = nn.ModuleList(layers)
        self.to(memory_format=self.memory)  # type: ignore[call-overload]

    def forward(self, buffers: Tensor) -> Tensor:
        """The change."""
        features = torch.cat((buffers.real, buffers.imag), 1)
        features = features.contiguous(memory_format=self.memory)
        for layer in self.layers[:-1]:
            features = functional.relu(layer(features))
        change = self.layers[-1](features).to(buffers.real.dtype)
        return torch.complex(*change.chunk(2, 1))
