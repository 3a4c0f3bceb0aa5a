"""Cycle spinning: a wavelet grid has an origin, the image has none, so the origin is moved and the
blocky errors of one grid average out.

R. R. Coifman and D. L. Donoho, Translation-invariant de-noising, in Wavelets and Statistics (1995).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deqlab.core.options import Count, Whole, option, options
from deqlab.signal.transforms.fourier import IMAGE_AXES

Shrink = Callable[[Tensor], Tensor]
# The origins that a transform of five levels tells apart.
REACH = 32


@options
class CycleSpinning:
    """The mean of `shrink` over `shifts` fixed origins of the grid: the first is the image's own,
    the rest are drawn from `seed`.

    A mean of proximal operators is the proximal operator of another convex penalty, the proximal
    average (H. H. Bauschke et al., The proximal average: basic theory, SIAM J. Optim. 19 (2008)),
    so the iteration keeps a fixed point and FISTA its rate.
    """

    shifts: Count = option(2, "origins of the grid that are averaged over; 1 for the image's own")
    seed: Whole = option(0, "of the origins but the first")

    def origins(self) -> list[tuple[int, int]]:
        """The shifts (y, x) in pixels."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randint(0, REACH, (self.shifts - 1, 2), generator=generator).tolist()
        return [(0, 0), *map(tuple, drawn)]

    def __call__(self, shrink: Shrink, image: Tensor) -> Tensor:
        """The mean of the shrunk images, (batch, y, x)."""
        first, *others = (moved(shrink, image, origin) for origin in self.origins())
        return sum(others, first) / self.shifts


@dataclass
class RandomShifts:
    """`shrink` at an origin drawn afresh at every evaluation: one transform each, and no fixed
    point.

    The residual comes to rest at the size of what a shift changes, about the weight of the penalty,
    and a solve with a smaller tolerance ends with the reason "budget". The draws go on from call to
    call; a new object starts them over.
    Source: M. A. T. Figueiredo and R. D. Nowak, An EM algorithm for wavelet-based image
        restoration, IEEE TIP 12 (2003).
    """

    seed: int = 0
    _generator: torch.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._generator = torch.Generator().manual_seed(self.seed)

    def __call__(self, shrink: Shrink, image: Tensor) -> Tensor:
        """The shrunk image, (batch, y, x)."""
        return moved(
            shrink, image, tuple(torch.randint(0, REACH, (2,), generator=self._generator).tolist())
        )


def moved(shrink: Shrink, image: Tensor, origin: tuple[int, int]) -> Tensor:
    """`shrink` of the image rolled by `origin` (y, x), rolled back."""
    if origin == (0, 0):
        return shrink(image)
    return shrink(image.roll(origin, IMAGE_AXES)).roll((-origin[0], -origin[1]), IMAGE_AXES)
