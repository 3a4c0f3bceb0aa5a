"""Convolutions that hand on what they are given.

Under a bound on every layer features can only shrink, and an optimiser that once shrinks them in
all layers at once leaves no gradient to undo it. Layers whose singular values are all equal keep
the norm of features, and of gradients: C. Anil, J. Lucas and R. Grosse, Sorting out Lipschitz
function approximation, ICML 2019. The iteration is that of A. Bjorck and C. Bowie, SIAM J. Numer.
Anal. 8 (1971), here on the symbol of the convolution.
"""

import torch
from torch import Tensor

from deqlab.networks.convolution_norm import convolution_norm, symbol

GRID = 8
ITERATIONS = 4


@torch.no_grad()
def orthogonalise_(kernel: Tensor, iterations: int = ITERATIONS) -> None:
    """Bring all singular values of a convolution near one another, and its norm to at most 1, in
    place. What the iteration gives is a larger kernel, of which the middle is kept: so near, not
    equal.

    kernel: real (out, in, height, width), as in torch.nn.Conv2d. A kernel of zeros stays one.
    """
    values = symbol(kernel, GRID)
    norm = torch.linalg.matrix_norm(values, ord=2).max()
    if norm == 0:
        return
    values = values / norm
    few = values.shape[-2] >= values.shape[-1]
    for _ in range(iterations):
        # sigma becomes sigma (3 - sigma^2) / 2, whose fixed point is 1
        excess = values @ (values.mH @ values) if few else (values @ values.mH) @ values
        values = 1.5 * values - 0.5 * excess
    height, width = kernel.shape[-2:]
    wide = values.permute(1, 2, 0).unflatten(-1, (GRID, GRID // 2 + 1))
    found = torch.fft.irfft2(wide, s=(GRID, GRID))[..., :height, :width]
    kernel.copy_(found / convolution_norm(found))
