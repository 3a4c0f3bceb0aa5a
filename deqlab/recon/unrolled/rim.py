"""RIM: a recurrent network that is shown the image and the gradient of its likelihood, and moves
the image.

P. Putzky and M. Welling, Recurrent inference machines for solving inverse problems,
arXiv:1706.04008; K. Lonning et al., Recurrent inference machines for reconstructing heterogeneous
MRI data, MedIA 53 (2019), whose cell this is. Departure: k-space is brought to one scale and phase.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.options import Count, Options, Whole, option, options
from deqlab.operators import LinearOperator
from deqlab.recon.base import Takes
from deqlab.recon.unrolled.base import Measured, Unrolled


@options
class RIMOptions(Options):
    """The architecture of `RIM`."""

    iterations: Count = option(8, "steps, all with the same weights")
    width: Count = option(64, "channels of features and of each of the two hidden states")
    reach: Whole = option(0, "pixels to each side from which a hidden state is renewed")


@dataclass(frozen=True)
class Recalled:
    """image: complex (batch, y, x). hidden: what the cell remembers, real (batch, width, y, x)."""

    image: Tensor
    hidden: tuple[Tensor, Tensor]


class RIM(Unrolled[Recalled]):
    """image = x_n with (dx, h) = cell(x, A^H (A x - y), h) and x <- x + dx from the image that the
    adjoint gives, its coils combined by their maps. Its arguments are `RIMOptions`.

    A^H (A x - y) is the gradient of 1/2 ||A x - y||^2: all that the cell knows of A, so that any A
    will do. One cell serves all steps, and so does it more steps than it was trained for.
    """

    Options = RIMOptions
    takes: ClassVar[Takes] = Takes("any linear operator of two-dimensional images")
    trained_by: ClassVar[str | None] = "every-step"

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.cell = Cell(self.options.width, self.options.reach)

    def start(self, measured: Measured) -> Recalled:
        """The zero-filled image, and nothing to remember."""
        image, gain = measured.projection, measured.A.gain
        if gain is not None:
            image = image / gain.to(image.real.dtype)
        nothing = image.real.new_zeros(len(image), self.options.width, *image.shape[1:])
        return Recalled(image, (nothing, nothing))

    def step(self, index: int, state: Recalled, measured: Measured) -> Recalled:
        """The cell moves the image."""
        gradient = likelihood_gradient(state.image, measured.A, measured.projection)
        change, hidden = self.cell(state.image, gradient, state.hidden)
        return Recalled(state.image + change, hidden)

    def image(self, state: Recalled) -> Tensor:
        """Its image."""
        return state.image


def likelihood_gradient(image: Tensor, A: LinearOperator, projection: Tensor) -> Tensor:
    """A^H (A x - y), the gradient of 1/2 ||A x - y||^2. projection: A^H y, like the image."""
    return A.normal(image) - projection


class Cell(nn.Module):
    """Convolutions 5x5, 3x3 (every second pixel) and 3x3 with ReLU and a `ConvGRU` after the first
    two: what the image and the gradient say now, and said before, becomes a change of the image.
    """

    def __init__(self, width: int, reach: int):
        super().__init__()
        self.inside = nn.Conv2d(4, width, 5, padding=2)
        self.middle = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.outside = nn.Conv2d(width, 2, 3, padding=1, bias=False)
        self.near, self.far = ConvGRU(width, reach), ConvGRU(width, reach)
        for convolution in (self.inside, self.middle):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        with torch.no_grad():
            # Steps that begin small: many of them follow one another.
            self.outside.weight.mul_(0.1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, image: Tensor, gradient: Tensor, hidden: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The change, complex (batch, y, x), and the new hidden states."""
        parts = image.real, image.imag, gradient.real, gradient.imag
        seen = torch.stack(parts, 1).contiguous(memory_format=torch.channels_last)
        near = self.near(functional.relu(self.inside(seen)), hidden[0])
        far = self.far(functional.relu(self.middle(near)), hidden[1])
        change = self.outside(far).to(image.real.dtype)
        return torch.complex(change[:, 0], change[:, 1]), (near, far)


class ConvGRU(nn.Module):
    """h <- (1 - z) h + z tanh(V s + W (r h)), with gates z and r between 0 and 1 that are
    convolutions of s and h: K. Cho et al., Learning phrase representations using RNN
    encoder-decoder, EMNLP 2014, with convolutions. s, h: real (batch, width, y, x).
    """

    def __init__(self, width: int, reach: int):
        super().__init__()
        size = 2 * reach + 1
        self.gates = nn.Conv2d(2 * width, 2 * width, size, padding=reach)
        self.candidate = nn.Conv2d(2 * width, width, size, padding=reach)
        for convolution in (self.gates, self.candidate):
            # Weights that neither shrink nor stretch: with smaller ones the first hundred steps of
            # a training hardly move the image.
            nn.init.orthogonal_(convolution.weight)

    def forward(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """The new h."""
        update, keep = self.gates(torch.cat((seen, hidden), 1)).sigmoid().chunk(2, 1)
        candidate = self.candidate(torch.cat((seen, keep * hidden), 1)).tanh()
        return hidden + update * (candidate - hidden)
