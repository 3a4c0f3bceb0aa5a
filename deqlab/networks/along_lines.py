"""A denoiser that meets missing lines the way they ran when it learned.

As the loader lays every scan, columns of k-space are left out, never rows, and a network that was
trained so knows aliasing from left to right alone. Where rows are left out it is shown the
transposed image: the same problem in turned coordinates has the same solution, turned.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.networks.protocol import of_members


@dataclass(frozen=True)
class AlongLines:
    """x -> R(x^T)^T for the samples in `turned`, bool (batch,), and R(x) for the others.

    x: complex (batch, y, x). R treats each sample by itself.
    """

    denoiser: Callable[[Tensor], Tensor]
    turned: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        if bool(self.turned.all()):
            return self.denoiser(image.mT.contiguous()).mT
        rows, columns = self.turned.nonzero().flatten(), (~self.turned).nonzero().flatten()
        of_rows = of_members(self.denoiser, rows)(image[rows].mT.contiguous()).mT
        of_columns = of_members(self.denoiser, columns)(image[columns])
        return torch.cat((of_rows, of_columns))[torch.cat((rows, columns)).argsort()]

    def select(self, index: Tensor) -> Callable[[Tensor], Tensor]:
        """That of the batch members in `index`."""
        return turned_where(of_members(self.denoiser, index), self.turned[index])


def along_lines(denoiser: Callable[[Tensor], Tensor], mask: Tensor) -> Callable[[Tensor], Tensor]:
    """The denoiser that is shown the images whose k-space lacks rows transposed.

    mask: of the samples that were measured, (batch, 1, y or 1, x or 1), bool or weights. One that
    is the same for all rows by its shape is not looked at: for that a device would be waited on.
    """
    if mask.shape[-2] == 1:
        return denoiser
    return turned_where(denoiser, lacks_rows(mask))


def turned_where(
    denoiser: Callable[[Tensor], Tensor], turned: Tensor
) -> Callable[[Tensor], Tensor]:
    """The denoiser itself where no image is turned: not even a call stands between then."""
    return AlongLines(denoiser, turned) if bool(turned.any()) else denoiser


def lacks_rows(mask: Tensor) -> Tensor:
    """Whether whole rows of k-space are left out, and nothing else is: bool (batch,)."""
    along, across = (mask != mask[..., :1]).flatten(1), (mask != mask[..., :1, :]).flatten(1)
    return ~along.any(1) & across.any(1)
