"""Measurements along spokes and spirals, with weights, maps and a scale as files off the grid get
them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Positive, Share, option, options
from deqlab.data.sample import Sample
from deqlab.data.truth import KnownTruth
from deqlab.data.varied.varied_measurements import Frame
from deqlab.operators import NUFFTOperator
from deqlab.operators.gridding import at_most_one, coil_maps_from_center, density_weights
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.trajectories import GoldenAngles, Radial, Spiral, nyquist_spokes

INTERLEAVES = 8


@dataclass(frozen=True)
class OffGridFrame(Frame):
    """What all draws of a batch share: the trajectory, too, and so its weights."""

    trajectory: Radial | Spiral


@options
class OffGridMeasurements:
    """How images are measured off the grid; shares and ranges as in `Variation`."""

    sizes: tuple[Count, ...] = option(
        (96, 112, 128, 144, 160), "rows, and columns, of an image: any of these"
    )
    whole: Share = option(
        0.85, "share whose object fits the field of view; the others are windows, as after a crop"
    )
    coils: tuple[Count, ...] = option((1, 2, 4, 4, 6, 8), "how many: any of these")
    radial: Share = option(0.5, "share of spokes by the golden angle; the others are spirals")
    acceleration: tuple[Positive, Positive] = option(
        (2.0, 8.0), "spokes, or turns, that Nyquist's rate asks for, over measured ones"
    )
    noise: tuple[Positive, Positive] = option(
        (0.001, 0.03), "standard deviation relative to the image's peak, drawn logarithmically"
    )

    def __post_init__(self) -> None:
        if not self.sizes or not self.coils:
            raise InputError("sizes, coils: none given; one number or more of each needed")
        for name in ("noise", "acceleration"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name}: ({low}, {high}) given, the smaller one first needed")

    def frame(self, random: np.random.Generator) -> OffGridFrame:
        """Size, number of coils and trajectory of a batch."""
        rows, columns = (int(random.choice(self.sizes)) for _ in range(2))
        coils, shape = int(random.choice(self.coils)), (rows, columns)
        share = 1 / random.uniform(*self.acceleration)
        trajectory: Radial | Spiral
        if random.random() < self.radial:
            spokes = max(1, round(share * nyquist_spokes(shape)))
            trajectory = Radial(spokes, angles=GoldenAngles())
        else:
            whole = Spiral(INTERLEAVES)
            turns = share * max(shape) / (2 * whole.interleaves)
            trajectory = Spiral(INTERLEAVES, turns)
        return OffGridFrame(shape, coils, trajectory)

    def draw(
        self, image: Tensor, frame: OffGridFrame, random: np.random.Generator, name: str
    ) -> Sample:
        """The Sample of one measurement of an image (y, x); its reference is the coil combination
        of the noiseless full k-space.
        """
        seed = int(random.integers(2**31))
        coil_maps = simulate_coil_maps(frame.coils, frame.shape, seed)
        low, high = self.noise
        level = math.exp(random.uniform(math.log(low), math.log(high)))
        F = _fourier(frame.trajectory, frame.shape)
        return measured(image, coil_maps, F, level, random, name)


def measured(
    image: Tensor,
    coil_maps: Tensor,
    F: NUFFTOperator,
    level: float,
    random: np.random.Generator,
    name: str,
) -> Sample:
    """The Sample of one measurement of an image (y, x) or of a volume (z, y, x), with coil maps
    estimated from its own samples; its reference is the coil combination of the noiseless full
    k-space.

    coil_maps: complex (coil, ...), those of the scan. F: as `weighted_fourier` makes it. level:
    standard deviation of the noise in the real part of a sample, and in the imaginary part.
    """
    clean = F.with_maps(coil_maps)(image[None])
    parts = random.standard_normal((*clean.shape, 2)).astype(np.float32)
    weighed = clean + F.weigh(level * torch.view_as_complex(torch.from_numpy(parts)))
    assert F.weights is not None and F.gain is not None, "as `weighted_fourier` makes it"
    gain, density = float(F.gain), F.weights[0] / float(F.gain)
    samples = weighed[0] / F.weights[0].sqrt().float()
    estimated = coil_maps_from_center(samples, F.trajectory[0], density, F.shape)
    A = F.with_maps(estimated)
    # As of a file: the maximum of the compensated adjoint, which the gain is no part of.
    scale = float(A.H(weighed).abs().max()) / gain or 1.0
    reference = (coil_maps * image * estimated.conj()).sum(0) / scale
    target = reference.abs()
    rows, columns = target.shape[-2:]
    return Sample(
        kspace=weighed[0] / scale,
        operator=A,
        scale=scale,
        file=name,
        slice=0,
        contrast="varied",
        crop=(rows, columns),
        truth=KnownTruth(target, reference, float(target.max()) * scale),
    )


@lru_cache(maxsize=4)
def _fourier(trajectory: Radial | Spiral, shape: tuple[int, int]) -> NUFFTOperator:
    return weighted_fourier(trajectory.sample(shape), shape)


def weighted_fourier(points: Tensor, shape: tuple[int, ...]) -> NUFFTOperator:
    """W^(1/2) F of a single coil, W density weights, scaled to a norm of at most 1: that of
    normalised maps is no larger.

    points: real (samples, axes) in cycles per pixel.
    """
    # A weight of 0 would lose its sample, and the maps are read off samples without weights.
    density = density_weights(points, shape).clamp_min(1e-9)
    A = at_most_one(
        NUFFTOperator(points, shape, weights=density), torch.zeros(1, *shape, dtype=torch.complex64)
    )
    assert isinstance(A, NUFFTOperator)
    return A
