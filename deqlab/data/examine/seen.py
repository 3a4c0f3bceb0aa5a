"""The samples of one slice, and what several checks ask of them, computed once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deqlab.data.examine.standing_out import StandingOut, standing_out
from deqlab.data.formats.samples import in_unit_range, peak


def hull(line: np.ndarray) -> slice:
    """The shortest range that holds every True of bool (n,); empty where there is none."""
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


@dataclass(frozen=True)
class SeenSlice:
    """Slice `index` of a volume: `stored`, complex (coil, rows, columns), or (coil, samples)."""

    index: int
    stored: np.ndarray

    @cached_property
    def sampled(self) -> np.ndarray:
        """Where any coil holds something else than zero: bool (rows, columns) or (samples,)."""
        return np.asarray((self.stored != 0).any(0))

    @cached_property
    def spikes(self) -> list[StandingOut]:
        """Samples of a grid that stand alone, the strongest first, their position counted along
        rows; none off the grid, where only a trajectory tells neighbours.
        """
        if self.stored.ndim != 3:
            return []
        points = np.argwhere(self.sampled)
        at = np.flatnonzero(self.sampled)
        sizes = np.abs(in_unit_range(self.stored)[0][:, self.sampled])
        return [
            StandingOut(one.coil, int(at[one.at]), one.factor)
            for one in standing_out(sizes, points, self.sampled.shape)
        ]

    @cached_property
    def by_coil(self) -> np.ndarray:
        """|sample|^2 in units of the largest, float32 (coil, ...); 0 for spikes, which tell nothing
        of where things are.
        """
        stored = self.stored
        if self.spikes:
            stored = stored.copy()
            flat = stored.reshape(len(stored), -1)
            flat[[one.coil for one in self.spikes], [one.at for one in self.spikes]] = 0
        samples, _ = in_unit_range(stored)
        return np.asarray(samples.real**2 + samples.imag**2)

    @cached_property
    def energy(self) -> np.ndarray:
        """The same, summed over coils: float64, of the shape of `sampled`."""
        return np.asarray(self.by_coil.sum(0, dtype=np.float64))

    def profile(self, axis: int) -> np.ndarray:
        """Energy along rows (axis 0) or columns (axis 1), float64."""
        return np.asarray(self.energy.sum(1 - axis))

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """(rows, columns) of the smallest box that holds all samples which are not zero."""
        return hull(np.asarray(self.sampled.any(1))), hull(np.asarray(self.sampled.any(0)))

    @cached_property
    def zeros_tell(self) -> bool:
        """Whether a zero is no measurement, and not a value too small for the samples' type."""
        return bool(peak(self.stored) > 1e7 * np.finfo(self.stored.real.dtype).tiny)

    @cached_property
    def zeros_in_box(self) -> float:
        """Share of that box which is zero in every coil; 0 of an empty box."""
        inside = self.sampled[self.box]
        return float(1 - inside.mean()) if inside.size else 0.0
