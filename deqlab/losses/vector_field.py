"""Losses of fields of plane vectors, such as displacements: a vector of R^2 is a complex number."""

from typing import Annotated, Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.losses.perpendicular import PerpendicularLoss
from deqlab.losses.registry import LOSSES


@options
class VectorFieldLoss:
    """A loss of complex images, of a field of vectors: length for magnitude, direction for
    phase.
    """

    loss: Annotated[Any, LOSSES] = option(PerpendicularLoss(), "of the vectors as complex numbers")
    axis: int = option(1, "of the two components")

    def __call__(self, field: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from real fields of one shape, such as (batch, 2, y, x). InputError where
        there are not two components.
        """
        value: Tensor = self.loss(as_complex(field, self.axis), as_complex(reference, self.axis))
        return value


def as_complex(field: Tensor, axis: int = 1) -> Tensor:
    """First component + i second component, without that axis; InputError unless it is real and has
    two.
    """
    inside = -field.ndim <= axis < field.ndim
    if field.is_complex() or not inside or field.shape[axis] != 2:
        raise InputError(
            f"vector field: {field.dtype} of shape {tuple(field.shape)} given; a real tensor with"
            f" two components along axis {axis} needed"
        )
    return torch.complex(*field.unbind(axis))
