"""The perpendicular loss, which treats magnitude and phase each by its own term.

M. L. Terpstra, M. Maspero, A. Sbrizzi, C. A. T. van den Berg, ⊥-loss: a symmetric loss function for
magnetic resonance imaging reconstruction and image registration with deep learning, Medical Image
Analysis 80 (2022).
"""

from typing import Annotated, Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import NonNegative, Positive, option, options
from deqlab.losses.l1 import L1Loss
from deqlab.losses.of_magnitudes import OF_MAGNITUDES

FLOOR = 1e-3


@options
class PerpendicularLoss:
    """Mean of P plus a loss of the magnitudes, for complex images.

    P is how far the reference Y lies off the line through the image X: |Y| |sin(angle between
    them)| up to a right angle, and 2 |Y| less that beyond, so that it grows until they are
    opposite. It does not depend on |X|, so the magnitude is decided by the other term alone: phase
    noise does not shrink it, as it does with `l2`, and too large costs what too small costs.
    """

    magnitude: Annotated[Any, OF_MAGNITUDES] = option(L1Loss(), "what compares the magnitudes")
    weight: NonNegative = option(1.0, "of the loss of the magnitudes")
    floor: Positive = option(
        FLOOR,
        "magnitude of the image below which its angle fades out, over the reference's largest",
    )

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex images (batch, y, x). InputError for real ones, whose angle
        would be their sign.
        """
        if not (image.is_complex() and reference.is_complex()):
            raise InputError(
                "perpendicular: real images given, complex ones needed (for fields of vectors take"
                " deqlab.losses.VectorFieldLoss)"
            )
        off = perpendicular(image, reference, self.floor).mean()
        value: Tensor = off + self.weight * self.magnitude(image.abs(), reference.abs())
        return value


def perpendicular(image: Tensor, reference: Tensor, floor: float = FLOOR) -> Tensor:
    """P of every pixel, real, from complex images (batch, y, x).

    P = |Re X Im Y - Im X Re Y| / |X| where the angle is at most a right one, 2 |Y| - P beyond. An
    angle at |X| = 0 there is not, and the gradient would be without bound about it. Below `floor`
    times the reference's maximum (of each sample) P therefore goes over into |Y|, its mean over all
    angles, and the gradient's length is at most 2 |Y| over that magnitude.
    """
    size, truth = image.abs(), reference.abs()
    axes = tuple(range(1, truth.ndim))
    least = floor * truth.detach().amax(axes, keepdim=True)
    least = least.clamp_min(torch.finfo(truth.dtype).tiny)
    cross = (image.real * reference.imag - image.imag * reference.real).abs()
    towards = image.real * reference.real + image.imag * reference.imag
    fading = (1 - size / least).clamp_min(0)
    turned = cross / torch.maximum(size, least) + fading * truth
    return torch.where(towards >= 0, turned, 2 * truth - turned)
