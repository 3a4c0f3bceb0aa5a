"""The mean squared difference."""

import torch
from torch import Tensor

from deqlab.core.options import options


@options
class L2Loss:
    """Mean squared modulus of the complex difference: the loss whose minimiser has the highest
    PSNR.

    Under phase noise of standard deviation sigma its minimiser has e^(-sigma^2 / 2) of the true
    magnitude.
    """

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images of one shape."""
        difference = image - reference
        if not difference.is_complex():
            return difference.square().mean()
        return torch.view_as_real(difference).square().sum(-1).mean()
