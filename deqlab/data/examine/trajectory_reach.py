"""The trajectory reaches about as far as the matrix does, and the largest sample is in its centre.

A trajectory in another unit than the file says is a trajectory of another size: everything is then
gridded into a corner, or into one pixel, of k-space.
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from deqlab.core.options import Positive, Share, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import OffGridVolume, Volume
from deqlab.data.formats.trajectory_units import UNITS

# How far a whole trajectory reaches in units that are common elsewhere.
FAMILIAR = {"cycles per pixel": 0.5, "radians per pixel": math.pi, "numbers from -1 to 1": 1.0}


@options
class TrajectoryReach(Check):
    """Half a matrix may be left empty, as where an image is interpolated, but not nearly all."""

    of: ClassVar[type[Any]] = OffGridVolume
    smallest: Share = option(0.25, "of half the matrix that some axis must reach")
    familiar: Share = option(0.45, "the same, where the reach is that of another common unit")
    narrow: Share = option(0.05, "of half the matrix that every axis must reach")

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """A reach that contradicts the matrix."""
        assert isinstance(volume, OffGridVolume)
        reach = np.abs(volume.trajectory(seen.index).numpy()).max(0)  # cycles per pixel
        matrix = np.asarray(volume.recon_shape)
        share, in_field = reach / 0.5, reach * matrix
        unit = next((n for n, r in FAMILIAR.items() if abs(in_field.max() / r - 1) < 0.03), None)
        bound = self.smallest if unit is None else self.familiar
        half = " and ".join(f"{side / 2:g}" for side in matrix)
        told = (
            f"trajectory reaches {in_field[0]:.3g} in ky and {in_field[1]:.3g} in kx, in cycles per"
            f" field of view, a share of {share.max():.1%} of k-space for a matrix of"
            f" {matrix[0]}x{matrix[1]}"
        )
        if share.max() < bound:
            yield Finding(
                Severity.REFUSAL,
                told,
                f"about {half} needed"
                + (f"; it looks like {unit}" if unit else "")
                + (", say so in the attribute trajectory_unit" if unit in UNITS else ""),
            )
        elif share.min() < self.narrow:
            yield Finding(Severity.WARNING, told, f"about {half} expected along both axes")


@options
class EchoOfTrajectory(Check):
    """The largest sample of a slice is one of those next to the centre of its trajectory."""

    of: ClassVar[type[Any]] = OffGridVolume
    outstanding: Positive = option(50.0, "largest over median energy from which on it is asked")
    near: Positive = option(4.0, "cycles per field of view beyond the nearest sample that pass")

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """A peak far from the centre."""
        assert isinstance(volume, OffGridVolume)
        energy = seen.energy
        if energy.max() <= self.outstanding * np.median(energy):
            return
        radius = in_field_of_view(volume.trajectory(seen.index), volume.recon_shape)
        at = float(radius[int(energy.argmax())])
        if at > float(radius.min()) + self.near:
            yield Finding(
                Severity.WARNING,
                f"the largest sample lies {at:.3g} cycles per field of view from the centre of the"
                " trajectory",
                "samples and trajectory may be in different orders",
            )


def in_field_of_view(trajectory: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Distance of every sample from the centre in cycles per field of view, float64 (samples,)."""
    return np.asarray(np.linalg.norm(trajectory.numpy() * np.asarray(shape), axis=-1))
