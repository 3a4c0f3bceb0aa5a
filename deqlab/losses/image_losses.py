"""Losses between a reconstruction and its reference, as objects."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError


@dataclass(frozen=True)
class L1Loss:
    """Mean modulus of the complex difference: sharp edges, and every slice weighs about alike."""

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images of one shape."""
        return (image - reference).abs().mean()


@dataclass(frozen=True)
class L2Loss:
    """Mean squared modulus of the complex difference: the loss whose minimiser has the highest
    PSNR.

    Under phase noise of standard deviation sigma its minimiser has e^(-sigma^2 / 2) of the true
    magnitude.
    """

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images of one shape."""
        difference = image - reference
        return (
            torch.view_as_real(difference).square().sum(-1)
            if difference.is_complex()
            else difference.square()
        ).mean()


LOSSES = {"l1": L1Loss, "l2": L2Loss}


def loss_by_name(name: str):
    """The loss object `name`."""
    if name not in LOSSES:
        raise InputError(f"loss: {name!r} given, one of {', '.join(LOSSES)} needed")
    return LOSSES[name]()
