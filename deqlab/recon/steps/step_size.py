"""The step of gradient methods on 1/2 ||A x - y||^2, from the operator alone."""

import torch
from torch import Tensor

from deqlab.operators import CartesianOperator, LinearOperator


def squared_norm(
    A: LinearOperator, like: Tensor, iterations: int = 20, margin: float = 1.05
) -> Tensor:
    """A bound of ||A||^2, the Lipschitz constant of A^H (A x - y), per sample: real (batch, 1, 1).

    like: an image (batch, y, x). Cartesian: the largest sum over coils of |c|^2, which mask and
    Fourier transform can only lessen; 1 for normalised maps, at no cost. Else power iteration,
    which stays below the true value, times `margin`.
    """
    if not isinstance(A, CartesianOperator):
        bound = margin * A.norm(like, iterations).square()
    elif A.coil_maps is None:
        bound = like.real.new_ones(len(like))
    else:
        squares = A.coil_maps.real.square() + A.coil_maps.imag.square()
        bound = squares.sum(-3).amax((-2, -1)).to(like.real.dtype).expand(len(like))
    return torch.where(bound > 0, bound, torch.ones_like(bound)).reshape(-1, 1, 1)
