"""From the samples of one slice off the grid to a `Sample`: density weights, coil maps, a scale,
and an operator whose norm is at most 1.

Every method gets W^(1/2) A and W^(1/2) y, where W are density weights: then A^H W y is the
compensated adjoint, and A^H W A is near the identity where nothing is missing, which is what least
squares solves quickly and what models trained on Cartesian lines know.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.formats.protocol import OffGridVolume
from deqlab.data.formats.samples import in_unit_range
from deqlab.data.prepare.fitted_maps import fitted
from deqlab.data.prepare.mixed_coils import shading, stored_maps
from deqlab.data.prepare.on_grid import combine
from deqlab.data.prepare.options import Preparation
from deqlab.data.prepare.stored_maps import CoilMaps, StoredMaps, method_told
from deqlab.data.sample import Sample
from deqlab.data.sampling import Sampling
from deqlab.data.truth import FileTruth
from deqlab.operators import NUFFTOperator
from deqlab.operators.gridding import (
    at_most_one,
    coil_maps_from_center,
    density_weights,
    gridded_center,
    weigh,
)
from deqlab.operators.noncartesian import NonCartesianOperator
from deqlab.operators.off_resonance import OffResonance
from deqlab.signal.coils.automatic import chosen
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps
from deqlab.signal.coils.explained import explained_share

# The density of the samples within so many cycles per pixel of the centre is made 1, whatever the
# unit of the file's own weights.
CENTER = 0.125


@dataclass
class OffGridSlices:
    """The slices of a volume off the grid, as Samples; weights of a trajectory that slices share
    are computed once.
    """

    sampling: Sampling[OffGridVolume]
    options: Preparation
    _known: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        limit, sides = self.options.max_pixels, self.volume.recon_shape
        if limit is not None and math.prod(sides) > limit:
            raise InputError(
                f"{self.volume.path}: {sides[0]}x{sides[1]} pixels, but max_pixels is {limit};"
                " samples off the grid cannot be cut into strips, a larger max_pixels is needed"
            )

    @property
    def volume(self) -> OffGridVolume:
        return self.sampling.volume

    def shape(self) -> tuple:
        """(coils, samples, h, w) of every slice, and the file's name where a field map makes its
        operator one of its own.
        """
        _, coils, samples = self.volume.shape
        own = (str(self.volume.path),) if self.volume.off_resonance else ()
        return coils, samples, *self.volume.recon_shape, *own

    def sample(self, index: int, mask: Tensor | None, rng: np.random.Generator) -> Sample:
        """Slice `index` as it was sampled, whatever `mask`; noise is drawn from `rng`."""
        noise = self.options.draw_noise(rng)
        trajectory = self.volume.trajectory(index)
        density = self._density(index, trajectory)
        maps = self.options.coil_maps
        return prepare_off_grid(
            self.volume, index, trajectory, density, noise=noise, rng=rng, coil_maps=maps
        )

    def _density(self, index: int, trajectory: Tensor) -> Tensor:
        own = self.volume.density(index)
        if own is not None:
            return scaled_density(own, trajectory, self.volume.recon_shape)
        if self._known is None or not torch.equal(self._known[0], trajectory):
            self._known = trajectory, density_weights(trajectory, self.volume.recon_shape)
        return self._known[1]


@dataclass(frozen=True)
class OffGridTruth(FileTruth):
    """The truth of a slice off the grid: the file's coil images, combined with the operator's
    `maps`, when they are asked for.
    """

    volume: OffGridVolume
    maps: Tensor = field(kw_only=True)

    @cached_property
    def reference(self) -> Tensor | None:
        images = self.volume.reference(self.index)
        if images is None:
            return None
        samples, unit = in_unit_range(images)
        return combine(torch.from_numpy(samples), self.maps) * (unit / self.scale)


def scaled_density(own: Tensor, trajectory: Tensor, shape: tuple[int, int]) -> Tensor:
    """A file's `own` density weights in units of a Cartesian sample, float64 (samples,)."""
    # One step of Pipe and Menon's iteration compares the file's weights with a density of 1; only
    # the median of it near the centre is used.
    stepped = density_weights(trajectory, shape, iterations=1, start=own)
    center = (torch.linalg.vector_norm(trajectory, dim=-1) < CENTER) & (own > 0)
    center = center if bool(center.any()) else own > 0
    return own * (stepped[center] / own[center]).median()


def prepare_off_grid(
    volume: OffGridVolume,
    index: int,
    trajectory: Tensor,
    density: Tensor,
    *,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
    coil_maps: CoilMaps = LowResolution(),
) -> Sample:
    """Slice `index` of `volume` as a Sample: k-space (coil, samples) and A, both with `density` as
    their weights; A has off-resonance in it where the file has a field map.

    trajectory, density: of this slice, (samples, 2) in cycles per pixel and (samples,). noise:
    standard deviation of complex Gaussian noise added to the samples, as a share of the maximum of
    the file's target, drawn from `rng`. coil_maps: a method, which reads the samples near the
    centre, or maps of a file. Raises InputError for what cannot be used.
    """
    stored, unit = in_unit_range(volume.kspace(index))
    samples = torch.from_numpy(stored)
    if noise:
        volume.require("target", f"noise {noise}")
        if rng is None:
            raise InputError(f"{volume.path}: noise {noise} needs a random generator")
        level = noise * volume.peak(index) / unit / math.sqrt(2)
        parts = rng.standard_normal((*samples.shape, 2), np.float32) * np.float32(level)
        samples = samples + torch.view_as_complex(torch.from_numpy(parts))
    maps, told, explained = _maps(volume, index, samples, trajectory, density, coil_maps)
    fourier = NUFFTOperator(trajectory, volume.recon_shape, maps, weights=density)
    off_resonance = volume.field_map(index)
    A: NonCartesianOperator | OffResonance = (
        fourier if off_resonance is None else OffResonance(fourier, *off_resonance)
    )
    kspace = samples.unsqueeze(0)
    scale = float(A.H(weigh(A, kspace)).abs().max()) or 1.0
    A = at_most_one(A, kspace.new_zeros(1, *volume.recon_shape))
    return Sample(
        kspace=weigh(A, kspace / scale)[0],
        operator=A,
        scale=scale * unit,
        file=volume.path.name,
        slice=index,
        contrast=volume.contrast,
        crop=volume.recon_shape,
        truth=OffGridTruth(volume, index, scale * unit, maps=maps),
        coil_maps_by=told,
        maps_explain=explained,
        shading=shading(volume, index, maps),
    )


def _maps(
    volume: OffGridVolume,
    index: int,
    samples: Tensor,
    trajectory: Tensor,
    density: Tensor,
    source: CoilMaps,
) -> tuple[Tensor, str, float | None]:
    """(coil maps of a slice, complex64 (coil, y, x), where they come from, the share of the centre
    that they explain); an error with the file's name.
    """
    shape = volume.recon_shape
    if isinstance(source, StoredMaps):
        known = stored_maps(volume, index, source, shape)
        try:
            center = gridded_center(samples, trajectory, density, shape)
        except InputError:  # no sample near the centre: nothing to compare with
            return known, source.told, None
        return fitted(volume, index, source, known, *center)
    try:
        if not isinstance(source, LowResolution):
            gridded, lines, rows = gridded_center(samples, trajectory, density, shape)
            method = chosen(source, gridded, lines, rows)
            if not isinstance(method, LowResolution):
                maps = estimate_coil_maps(gridded, lines, method, rows)
                explained = explained_share(gridded, maps, lines, rows)
                return maps, f"{method_told(method)} from the centre", explained
        # Its window can follow the samples; the other methods need a block of the grid.
        maps = coil_maps_from_center(samples, trajectory, density, shape)
        return maps, f"{method_told(LowResolution())} from the centre", None
    except InputError as error:
        if len(samples) > 1:
            raise InputError(f"{volume.path}: coil maps: {error}") from None
        return samples.new_ones(1, *shape), "none", None  # one coil can do without
