"""A ridge regulariser whose strength follows the image, place by place and filter by filter.

Masks on the ridges of a regulariser that are computed from a reconstruction: S. Neumayer, M.
Pourya, A. Goujon and M. Unser, Boosting weakly convex ridge regularizers with spatial adaptivity,
NeurIPS 2023 workshop on deep learning and inverse problems; S. Neumayer and F. Altekrueger,
Stability of data-dependent ridge-regularization for inverse problems, arXiv 2406.12289; iterated to
a fixed point, M. Pourya, S. Neumayer and M. Unser, Iteratively refined image reconstruction with
learned attentive regularizers, arXiv 2407.06608. There a free network makes the mask and the fixed
point is that of no energy, but for masks of single responses. Departure: here the mask sees local
averages over filters and places, and is the derivative of a concave cost of these, so that with
Lambda(x) in place of a fixed Lambda there still is an energy (`deqlab.networks.concave_groups`).
The price: a response never makes another one dearer.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt, Le
from torch import Tensor, nn

from deqlab.core.options import Count, Whole, option, options
from deqlab.networks.concave_groups import ConcaveGroups
from deqlab.networks.folded_filters import FOLD
from deqlab.networks.ridge import Responses, Ridge, RidgeOptions
from deqlab.networks.told_network import AtLevel

# 2 max t e^(-t).
STEEPEST = 2 / math.e


@options
class AdaptiveRidgeOptions(RidgeOptions):
    """The architecture of an `AdaptiveRidge`."""

    groups: Count = option(8, "local averages at each scale from which strengths are made")
    reach: Whole = option(2, "pixels to each side that an average sees, of each scale's own")
    lower: Annotated[float, Gt(0), Le(1)] = option(0.1, "least strength of a filter at a place")


class AdaptiveRidge(Ridge):
    """R(x, level) = x - grad E(x) with grad E(x) = grad E_Lambda(x) at Lambda = Lambda(x), E_Lambda
    = sum_k <Lambda_k, (level / a_k)^2 psi_k(a_k |W_k x| / level)>. Its arguments are
    `AdaptiveRidgeOptions`.

    Lambda_k(x), real and in [lower, 1], depends on moduli of responses relative to the level alone,
    and falls where there are many of them. It starts as 1: as a `Ridge`. A floor's ||x||^2 is left
    as it is. `after_step` keeps all of this:

    - For fixed Lambda (`frozen`) everything is as without one: the Hessian's eigenvalues lie in
      `inner_curvature`, that of the `Ridge`.
    - For Lambda(x) the gradient is that of E(x) = level^2 sum_j c_j(v_j(x)), c_j concave, and E
      lies below E_Lambda(z) + const and touches it at z. So E is curved upwards no more than
      E_Lambda is: its Hessian is at most 1.
    - It loses convexity: eigenvalues may fall to `curvature`'s lower end. By phi^2 <= 2 psi and v
      e^(-v / s) / s <= 1 / e that is 2 depth / e below the one for fixed Lambda, whatever the
      scales. Lip(R - I) = Lip(grad E) <= `lipschitz`.
    - R(c x, |c| level) = c R(x, level) for every complex number c.
    """

    Options = AdaptiveRidgeOptions
    options: AdaptiveRidgeOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        chosen = self.options
        self.groups = nn.ModuleList(
            ConcaveGroups(count, chosen.groups, chosen.reach, chosen.lower, FOLD)
            for count in chosen.filters
        )
        self.lipschitz = max(1.0, -self._lowest(1 - chosen.lower))

    @property
    def inner_curvature(self) -> tuple[float, float]:
        """Bounds of the Hessian's eigenvalues for fixed strengths."""
        return super().curvature

    @property
    def curvature(self) -> tuple[float, float]:
        """Bounds of the Hessian's eigenvalues where strengths follow the image."""
        return self._lowest(max(float(group.depths.detach().max()) for group in self.masks)), 1.0

    @property
    def masks(self) -> list[ConcaveGroups]:
        """The groups of each scale."""
        return [group for group in self.groups if isinstance(group, ConcaveGroups)]

    def after_step(self) -> None:
        """What a ridge promises, and strengths in their interval."""
        super().after_step()
        for group in self.masks:
            group.project_()

    def completed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a `Ridge` with this one's strengths; those of an `AdaptiveRidge` as they
        are.
        """
        own = {f"groups.{name}": value for name, value in self.groups.state_dict().items()}
        return weights if own.keys() & weights.keys() else own | weights

    def shrunk(self, at: Responses) -> Tensor:
        """Lambda phi(a |W x|) / (a |W x|) W x on one scale."""
        return super().shrunk(at) * self.strengths_of(at).unsqueeze(1)

    def cost(self, at: Responses) -> Tensor:
        """Sum of c_j(v_j) on one scale, real (batch,)."""
        return self.masks[at.scale].total(at.costs, _unit_of(at))

    def strengths_of(self, at: Responses) -> Tensor:
        """Lambda on one scale, real (batch, channel, y, x) as the responses."""
        return self.masks[at.scale].strengths(at.costs, _unit_of(at))

    def frozen(self, image: Tensor, level: Tensor) -> "FrozenRidge":
        """R with the strengths of this image, whatever it is applied to."""
        strengths = tuple(self.strengths_of(at) for at in self.responses(image, level))
        return FrozenRidge(self, level, strengths)

    def _lowest(self, depth: float) -> float:
        floor = self.options.floor
        return self.inner_curvature[0] - (1 - floor) * STEEPEST * depth


@dataclass(frozen=True)
class FrozenRidge(AtLevel):
    """x -> x - grad E_Lambda(x). strengths: Lambda at each scale, real (batch, channel, y, x)."""

    denoiser: AdaptiveRidge
    strengths: tuple[Tensor, ...]

    def __call__(self, image: Tensor) -> Tensor:
        return image - self.denoiser.gradient_by(self._shrunk, image, self.level)

    def energy(self, image: Tensor) -> Tensor:
        """E_Lambda(x), real (batch,)."""
        return self.denoiser.energy_by(self._cost, image, self.level)

    def select(self, index: Tensor) -> "FrozenRidge":
        """That of the batch members in `index`."""
        level = super().select(index).level
        return FrozenRidge(self.denoiser, level, tuple(part[index] for part in self.strengths))

    def _shrunk(self, at: Responses) -> Tensor:
        plain = at.responses * at.pieces.ratio(at.arguments, at.filters).unsqueeze(1)
        return plain * self.strengths[at.scale].unsqueeze(1)

    def _cost(self, at: Responses) -> Tensor:
        return (at.costs * self.strengths[at.scale]).sum((1, 2, 3))


def _unit_of(at: Responses) -> Tensor:
    """The mean of 1 / a^2 over filters: what noise of the level costs, nearly."""
    return at.size.pow(-2).mean()
