"""Groups of filter responses whose common cost is concave: the more there is of a group somewhere,
the less each response there costs.

Of costs u_k(p) >= 0 of filters k at places p, a group j sees the weighted sum v_j = sum B_j u and
costs c_j(v_j), c_j concave, increasing, c_j(0) = 0. The derivative in u_k is the strength
Lambda_k = sum_j B_jk^T c_j'(v_j), a mask made of local averages. This is majorisation by a weighted
sum (D. R. Hunter and K. Lange, A tutorial on MM algorithms, Am. Stat. 58, 2004): for fixed Lambda
the weighted sum of the costs lies above the concave one, up to a constant, and touches it where
Lambda was taken.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pixel_shuffle, pixel_unshuffle

# Exponents are stored divided by this, so that one learning rate fits all.
QUICK = 8.0

# The scales of c_j to begin with lie between 1 and this, in units of the noise's cost: from what is
# a little above noise to strong edges.
WIDEST_SCALE = 64.0

# Standard deviations of the averages to begin with, in pixels, in turns.
WIDTHS = (0.7, 1.5)


class ConcaveGroups(nn.Module):
    """`groups` groups of the costs of `filters` filters, c_j(v) = v - depth_j (v - s_j (1 - e^(-v /
    s_j))), averages over 2 reach + 1 pixels along a side.

    B is not negative and every cost is shared out whole: its column sums are 1, at borders too.
    With depth_j in [0, 1 - lower], which `project_` keeps, c_j' = 1 - depth_j (1 - e^(-v / s_j))
    and every strength lie in [lower, 1]. Depths start as 0: then strengths are 1 exactly.

    Images come folded: squares of `fold` pixels along a side as channels of one.
    """

    def __init__(self, filters: int, groups: int, reach: int, lower: float, fold: int):
        super().__init__()
        self.lower, self.reach, self.fold = lower, reach, fold
        self.shares = nn.Parameter(torch.zeros(groups, filters))
        self.averages = nn.Parameter(_gaussians(groups, reach) / QUICK)
        scales = torch.linspace(0, math.log(WIDEST_SCALE), groups)
        self.log_scales = nn.Parameter(scales / QUICK)
        self.depths = nn.Parameter(torch.zeros(groups))

    @torch.no_grad()
    def project_(self) -> None:
        """Depths that leave every strength at least `lower`."""
        self.depths.clamp_(0.0, 1 - self.lower)

    def strengths(self, costs: Tensor, unit: Tensor) -> Tensor:
        """Lambda, real (batch, filter fold^2, y, x) as the costs are. unit: of the scales s_j."""
        seen = self._seen(costs)
        fall = self._each(self.depths) * -torch.expm1(
            -self._averaged(costs, seen) / self._scales(unit)
        )
        spread = pixel_unshuffle(self._spread(fall) / seen, self.fold)
        shared = torch.einsum("jk,bjpyx->bkpyx", self._mixing(), self._apart(spread))
        return 1 - shared.flatten(1, 2)

    def total(self, costs: Tensor, unit: Tensor) -> Tensor:
        """Sum of c_j(v_j) over groups and places, real (batch,)."""
        v, scales = self._averaged(costs, self._seen(costs)), self._scales(unit)
        saved = self._each(self.depths) * (v + scales * torch.expm1(-v / scales))
        return costs.sum((1, 2, 3)) - saved.sum((1, 2, 3))

    def _averaged(self, costs: Tensor, seen: Tensor) -> Tensor:
        """v, real (batch, group, y, x), unfolded."""
        mixed = torch.einsum("jk,bkpyx->bjpyx", self._mixing(), self._apart(costs))
        whole = pixel_shuffle(mixed.flatten(1, 2), self.fold) / seen
        return conv2d(whole, self._kernels(), padding=self.reach, groups=len(self.depths))

    def _spread(self, images: Tensor) -> Tensor:
        """The adjoint of averaging, real (batch, group, y, x)."""
        kernels = self._kernels()
        return conv_transpose2d(images, kernels, padding=self.reach, groups=len(self.depths))

    def _seen(self, costs: Tensor) -> Tensor:
        """How much of each place the averages around it see, 1 but at borders: (1, group, y, x)."""
        rows, columns = (self.fold * length for length in costs.shape[-2:])
        return self._spread(costs.new_ones(1, len(self.depths), rows, columns))

    def _mixing(self) -> Tensor:
        return (QUICK * self.shares).softmax(0)

    def _kernels(self) -> Tensor:
        side = 2 * self.reach + 1
        return (QUICK * self.averages).softmax(1).view(-1, 1, side, side)

    def _scales(self, unit: Tensor) -> Tensor:
        return unit * self._each((QUICK * self.log_scales).exp())

    def _each(self, values: Tensor) -> Tensor:
        return values[:, None, None]

    def _apart(self, squares: Tensor) -> Tensor:
        return squares.unflatten(1, (-1, self.fold**2))


def _gaussians(groups: int, reach: int) -> Tensor:
    """Exponents of averages, real (group, (2 reach + 1)^2)."""
    place = torch.arange(-reach, reach + 1.0)
    squared = (place[:, None].square() + place.square()).flatten()
    widths = torch.tensor([WIDTHS[j % len(WIDTHS)] for j in range(groups)])
    return -squared / (2 * widths[:, None].square())
