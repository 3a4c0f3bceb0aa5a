"""AUTOMAP: dense layers from all of k-space to all of the image, for one matrix size.

B. Zhu, J. Z. Liu, S. F. Cauley, B. R. Rosen and M. S. Rosen, Image reconstruction by
domain-transform manifold learning, Nature 555 (2018). It is told no Fourier transform and has to
learn it, for each mask anew, and so it has 3 N^2 weights for N pixels. Departures: the network
gives the real part of an image, and the imaginary one is that of -i times the data, so that images
are complex at no weight more; no penalty on the features.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, adjustable, option, options
from deqlab.core.text_table import table
from deqlab.operators import CartesianOperator, LinearOperator
from deqlab.recon.base import CARTESIAN, Budget, Model, Outcome, Takes
from deqlab.recon.steps.units import unit

# A weight in single precision, its gradient, and the two averages of Adam.
BYTES = 16


@options
class AutoMAPOptions(Options):
    """The architecture of `AutoMAP`."""

    matrix: tuple[Count, Count] = option(
        (32, 32), "rows and columns of the only k-space that it takes; published for 64x64"
    )
    width: Count = option(64, "channels of the convolutions")
    gigabytes: Positive = adjustable(
        4.0, "most memory that weights, their gradients and Adam's averages may take"
    )

    def __post_init__(self) -> None:
        needed = memory(self.matrix, self.width)
        if needed > self.gigabytes:
            rows, columns = self.matrix
            raise InputError(
                f"matrix: {rows}x{columns} given, which takes {needed:.3g} GB to train; a smaller"
                f" one needed, or gigabytes above {self.gigabytes:g}"
            )


class AutoMAP(Model):
    """image = sum over coils of conj(c) (N(y) + i N(-i y)), N two dense layers with tanh, two
    convolutions 5x5 and a transposed one 7x7, of one matrix size. Its arguments are
    `AutoMAPOptions`.

    N sees one coil at a time, all positions of its k-space with zeros where nothing was measured:
    the weights do not know how many coils there are, nor in which order. Whatever mask it was
    trained under is the one that it can undo.
    """

    Options = AutoMAPOptions
    trained_by: ClassVar[str | None] = "supervised"
    takes: ClassVar[Takes] = CARTESIAN

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        rows, columns = self.options.matrix
        pixels, width = rows * columns, self.options.width
        self.dense = nn.ModuleList((nn.Linear(2 * pixels, pixels), nn.Linear(pixels, pixels)))
        self.convolutions = nn.ModuleList(
            (nn.Conv2d(1, width, 5, padding=2), nn.Conv2d(width, width, 5, padding=2))
        )
        self.last = nn.ConvTranspose2d(width, 1, 7, padding=3)

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x) of its own matrix size;
        InputError for another one.
        """
        given, own = tuple(kspace.shape[-2:]), self.options.matrix
        if given != own:
            raise InputError(
                f"AutoMAP: made for a matrix of {own[0]}x{own[1]}, {given[0]}x{given[1]} given; it"
                " takes no other"
            )
        u = unit(A.H(kspace))
        inside = (kspace / u.unsqueeze(1)).flatten(0, 1)
        # The imaginary part of an image is the real part of -i times it.
        real, imaginary = self._real_part(torch.cat((inside, -1j * inside))).chunk(2)
        coil_images = torch.complex(real, imaginary).unflatten(0, kspace.shape[:2])
        return Outcome(u * combined(coil_images, A))

    def _real_part(self, kspace: Tensor) -> Tensor:
        """N(y), real (batch, y, x), of one coil's k-space, complex (batch, y, x)."""
        features = torch.cat((kspace.real.flatten(1), kspace.imag.flatten(1)), 1)
        for layer in self.dense:
            features = torch.tanh(layer(features))
        features = features.reshape(-1, 1, *self.options.matrix)
        for layer in self.convolutions:
            features = functional.relu(layer(features))
        return self.last(features).squeeze(1).to(kspace.real.dtype)


def combined(coil_images: Tensor, A: LinearOperator) -> Tensor:
    """sum over coils of conj(c) x_c with the maps of a Cartesian A: complex (batch, y, x) from
    (batch, coil, y, x); the image itself of a single coil without a map.
    """
    assert isinstance(A, CartesianOperator), "the only operators that it takes"
    if A.coil_maps is None:
        return coil_images[:, 0]
    return (A.coil_maps.to(coil_images.dtype).conj() * coil_images).sum(1)


def parameters(matrix: tuple[int, int], width: int = 64) -> int:
    """How many weights an AutoMAP for a matrix size has; nothing is allocated."""
    pixels = matrix[0] * matrix[1]
    dense = (2 * pixels + 1) * pixels + (pixels + 1) * pixels
    return dense + (25 + 1) * width + (25 * width + 1) * width + 49 * width + 1


def memory(matrix: tuple[int, int], width: int = 64) -> float:
    """GB that the weights take while they are trained by Adam in single precision."""
    return BYTES * parameters(matrix, width) / 1e9


def memory_table(sides: tuple[int, ...] = (32, 64, 128, 256)) -> str:
    """Weights and memory of square matrices, as a table in text."""
    rows = [["matrix", "weights", "GB to train"]]
    for side in sides:
        count, needed = parameters((side, side)), memory((side, side))
        rows.append([f"{side}x{side}", f"{count / 1e6:.1f} M", f"{needed:.3g}"])
    return table(rows)
