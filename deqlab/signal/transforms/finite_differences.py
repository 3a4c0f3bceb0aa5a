"""Differences of neighbouring pixels and what is made of them: D, its adjoint, and the total
variation.
"""

import torch
from torch import Tensor

# ||D||^2 is below 4 for each of the two axes.
SQUARED_NORM = 8.0


def differences(image: Tensor) -> Tensor:
    """D x: x[y+1, x] - x[y, x] and x[y, x+1] - x[y, x], (..., y, x) to (..., 2, y, x); zero across
    the last row and column.
    """
    result = image.new_zeros(*image.shape[:-2], 2, *image.shape[-2:])
    torch.sub(image[..., 1:, :], image[..., :-1, :], out=result[..., 0, :-1, :])
    torch.sub(image[..., 1:], image[..., :-1], out=result[..., 1, :, :-1])
    return result


def differences_adjoint(field: Tensor) -> Tensor:
    """D^H d, minus the divergence: (..., 2, y, x) to (..., y, x). What `field` holds across the
    last row and column is not read.
    """
    down, right = field[..., 0, :-1, :], field[..., 1, :, :-1]
    result = torch.zeros_like(field[..., 0, :, :])
    result[..., 1:, :] += down
    result[..., :-1, :] -= down
    result[..., 1:] += right
    result[..., :-1] -= right
    return result


def lengths(field: Tensor) -> Tensor:
    """sqrt(|d_y|^2 + |d_x|^2) of a real or complex field (..., 2, y, x): real (..., y, x)."""
    squares = field.real.square() + field.imag.square() if field.is_complex() else field.square()
    return squares.sum(-3).sqrt()


def total_variation(image: Tensor) -> Tensor:
    """The isotropic total variation: the sum over pixels of sqrt(|d_y|^2 + |d_x|^2), (..., y, x) to
    real (...).

    Source: L. I. Rudin, S. Osher and E. Fatemi, Nonlinear total variation based noise removal
        algorithms, Physica D 60 (1992).
    """
    return lengths(differences(image)).sum((-2, -1))
