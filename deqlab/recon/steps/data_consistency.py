"""Data consistency: measured samples take the place of predicted ones, wholly or in part.

J. Schlemper, J. Caballero, J. V. Hajnal, A. N. Price and D. Rueckert, A deep cascade of
convolutional neural networks for dynamic MR image reconstruction, IEEE TMI 37 (2018), eq. (8).
It acts on the whole k-space of every coil; `WholeKspace` is the way there and back.
"""

from typing import Any

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError, positive
from deqlab.core.options import Options, Positive, option, options
from deqlab.core.registry import Registry
from deqlab.operators import CartesianOperator, LinearOperator


@options
class HardOptions(Options):
    """`Hard` has no options."""


class Hard(nn.Module):
    """k-space of every coil is the measured one, bit by bit, where something was measured, and the
    predicted one elsewhere: right where there is no noise.
    """

    Options = HardOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)

    def forward(self, predicted: Tensor, measured: Tensor, mask: Tensor) -> Tensor:
        """predicted, measured: complex (batch, coil, y, x). mask: bool, broadcastable to them."""
        return torch.where(mask, measured, predicted)


@options
class SoftOptions(Options):
    """The options of a `Soft`."""

    weight: Positive = option(
        10.0, "of a measured sample against a predicted one to begin with; it is learned"
    )


class Soft(nn.Module):
    """k-space is (predicted + w measured) / (1 + w) where something was measured, and the predicted
    one elsewhere; w is learned, through its logarithm. Its arguments are `SoftOptions`.
    """

    Options = SoftOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        weight = positive("weight", self.options.weight)
        self.log_weight = nn.Parameter(torch.tensor(weight).log())

    def forward(self, predicted: Tensor, measured: Tensor, mask: Tensor) -> Tensor:
        """As `Hard`."""
        # w / (1 + w) without a large number on the way.
        share = self.log_weight.sigmoid()
        return torch.where(mask, predicted + share * (measured - predicted), predicted)


CONSISTENCIES: Registry[nn.Module] = Registry("data consistency", {"hard": Hard, "soft": Soft})


class WholeKspace:
    """F C of a Cartesian operator A = M F C: between an image and the k-space that its coils would
    have measured, had nothing been left out.
    """

    def __init__(self, A: LinearOperator):
        if not isinstance(A, CartesianOperator):
            raise InputError(f"A: {type(A).__name__} given, samples of a Cartesian grid needed")
        self.operator = CartesianOperator(torch.ones_like(A.mask), A.coil_maps, A.dimensions)

    def kspace(self, image: Tensor) -> Tensor:
        """Complex (batch, coil, y, x) from an image (batch, y, x)."""
        whole: Tensor = self.operator(image)
        return whole

    def image(self, kspace: Tensor) -> Tensor:
        """The image whose coil images are nearest to those of a k-space: their sum, weighed by the
        conjugate maps, over sum |c|^2; 0 where no coil sees anything.

        With one coil it is the inverse of `kspace`. With several no image need have just this
        k-space, so measured samples that are in `kspace` are in its image but for what the coils
        contradict one another.
        """
        combined, maps = self.operator.H(kspace), self.operator.coil_maps
        if maps is None:
            return combined
        squares = maps.abs().square().sum(1).to(combined.real.dtype)
        seen = squares > torch.finfo(squares.dtype).eps * squares.amax()
        return combined * torch.where(seen, 1 / squares, torch.zeros_like(squares))
