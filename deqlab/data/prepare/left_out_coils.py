"""Coils that are much noisier than the others are left out, before coils are whitened.

Whitening alone weighs such a coil down, but its map is found from noise and comes back into the
shading of the image: on a simulated head with one coil of eight whose noise was 75 times the
others', CG-SENSE and total variation stood 10 decibels below the image without that coil.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from deqlab.data.formats.protocol import OffGridVolume, Volume
from deqlab.data.formats.samples import in_unit_range
from deqlab.signal.coils.coil_noise import CoilNoise, coil_noise, grid_radius

# As for whitening, the receivers are the same in all slices.
SLICES_FOR_NOISE = 4


def some_of(chosen: Sequence[int]) -> list[int]:
    """So many of the chosen slices as noise is found from, spread evenly."""
    places = np.linspace(0, len(chosen) - 1, min(len(chosen), SLICES_FOR_NOISE))
    return [chosen[round(at)] for at in places]


@dataclass(frozen=True)
class LeftOut:
    """Coils as they are, but those whose noise is far above the others' are zero.

    mask: bool (column,) or (row, column) of what was measured, None off the grid. chosen: slices
    that will be asked for.
    """

    volume: Volume
    mask: Tensor | None
    chosen: Sequence[int]

    @cached_property
    def found(self) -> dict[int, float]:
        """Each coil that is left out, and how many times its noise is that of the median coil, at
        least: signal that reaches the outermost samples counts as noise of the others.
        """
        each = [noise_of(self.volume, index, self.mask) for index in some_of(self.chosen)]
        known = [one for one in each if one is not None]
        if not known:
            return {}
        # The median over slices: one spoilt slice is no reason to do without a coil in all.
        noise, signal = (
            torch.stack(values).median(0).values
            for values in zip(*((one.noise, one.signal) for one in known), strict=True)
        )
        pooled = CoilNoise(noise, signal)
        return {coil: float(pooled.factors[coil]) for coil in pooled.noisy}

    @property
    def told(self) -> list[str]:
        """A clause for each coil that is left out."""
        return [
            f"coil {coil} left out (its noise is at least {factor:.2g} times that of the others)"
            for coil, factor in self.found.items()
        ]

    def coils(self, available: int) -> int:
        return available

    @cached_property
    def _kept(self) -> Tensor | None:
        if not self.found:
            return None
        kept = torch.ones(self.volume.shape[1])
        kept[list(self.found)] = 0
        return torch.diag(kept).to(torch.complex64)

    def matrix(self, index: int) -> Tensor | None:
        return self._kept


def noise_of(volume: Volume, index: int, mask: Tensor | None) -> CoilNoise | None:
    """Noise and signal of the coils in what `mask` measures of slice `index`, all where it is None;
    None where nothing was measured.
    """
    samples = torch.from_numpy(in_unit_range(volume.kspace(index))[0])
    if isinstance(volume, OffGridVolume):
        return coil_noise(samples, torch.linalg.vector_norm(volume.trajectory(index), dim=-1))
    measured = (samples != 0).any(0)
    measured = measured if mask is None else measured & mask
    if not measured.any():
        return None
    rows, columns = measured.shape
    return coil_noise(samples[:, measured], grid_radius((rows, columns))[measured])
