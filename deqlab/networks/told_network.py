"""What denoisers share that can be told how much noise there is to remove."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AtLevel:
    """x -> R(x, level). level: real, one for each sample (batch, 1, 1) or one for all (1, 1, 1)."""

    denoiser: Callable[[Tensor, Tensor], Tensor]
    level: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        return self.denoiser(image, self.level)

    def select(self, index: Tensor) -> "AtLevel":
        """That of the batch members in `index`."""
        return AtLevel(self.denoiser, self.level[index] if len(self.level) > 1 else self.level)


class ToldNetwork(nn.Module):
    """R(x, level), without a Lipschitz bound unless a network says otherwise. Its options have a
    `level`, relative to the image's peak, which counts where it is told of none.
    """

    lipschitz: float | None = None
    residual = True
    options: Any

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def at(self, level: Tensor) -> AtLevel:
        """R for images whose noise is known: real (batch, 1, 1), in the units of the image."""
        return AtLevel(self, level)

    def in_units_of_peak(self, image: Tensor, level: Tensor | None) -> "InUnits":
        """Image and level over the image's peak, so that no square leaves the range of the numbers.

        image: complex (batch, y, x). level: real (batch, 1, 1) in its units; None for that of the
        options. R commutes with the unit, so the gradient need not know of it.
        """
        peak = image.abs().amax((-2, -1), keepdim=True)
        if level is None:
            level = self.options.level * peak
        unit = peak.detach()
        unit = torch.where(unit > 0, unit, torch.ones_like(unit))
        return InUnits(image / unit, level / unit, unit)


class InUnits(NamedTuple):
    """image / unit, complex (batch, y, x); level / unit and unit, real (batch, 1, 1)."""

    image: Tensor
    level: Tensor
    unit: Tensor
