"""Measurements as varied as scans are: coils, masks, calibration, noise, and how maps are estimated
from what was measured.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Count, NonNegative, Positive, Share, option, options
from deqlab.data.sample import Sample
from deqlab.data.truth import KnownTruth
from deqlab.operators import CartesianOperator
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.coils.whitening import mix_coils
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask, calibration_lines
from deqlab.signal.transforms.fourier import fft2c, ifft2c

# Patches of ESPIRiT, and smaller ones for many coils, whose matrices grow.
PATCH, SMALL_PATCH, MANY_COILS = 6, 4, 8
# The centre takes at most this share of the measured lines.
MOST_CALIBRATION = 0.9


@dataclass(frozen=True)
class Frame:
    """What all draws of a batch share."""

    shape: tuple[int, int]
    coils: int


@options
class Measurements:
    """How images are measured; shares and ranges as in `Variation`."""

    sizes: tuple[Count, ...] = option(
        (96, 112, 128, 144, 160, 176, 192, 224, 256), "rows, and columns, of an image: any of these"
    )
    pixels: Count = option(26_000, "rows x columns at most, which decides the time of a step")
    whole: Share = option(
        0.85, "share whose object fits the field of view; the others are windows, as after a crop"
    )
    coils: tuple[Count, ...] = option((1, 2, 4, 4, 6, 8, 8, 12, 16), "how many: any of these")
    irregular: Share = option(0.3, "share of rings with gaps: flexible arrays, broken coils")
    mixed: Share = option(
        0.25, "share of coils mixed at random, as whitening and compression leave them"
    )
    colored: Share = option(0.15, "share whose noise is correlated between coils")
    noise: tuple[Positive, Positive] = option(
        (0.001, 0.03), "standard deviation relative to the image's peak, drawn logarithmically"
    )
    acceleration: tuple[Positive, Positive] = option((2.0, 10.0), "lines over measured ones")
    few: Positive = option(
        4.0, "most acceleration of fewer than 4 coils: more cannot be undone by anything"
    )
    calibration: tuple[Positive, Positive] = option((0.03, 0.16), "share of the central lines")
    equispaced: Share = option(0.3, "share of equispaced masks; the others are random")
    half: Share = option(0.05, "share whose mask lacks one side: partial Fourier")
    espirit: Share = option(
        0.7,
        "share of maps by ESPIRiT where there are lines enough for it (`auto`); the others are of"
        " low resolution",
    )
    gain: NonNegative = option(0.5, "spread of the logarithm of coils' gains where they are mixed")

    def __post_init__(self) -> None:
        if not self.sizes or not self.coils:
            raise InputError("sizes, coils: none given; one number or more of each needed")
        if min(self.sizes) ** 2 > self.pixels:
            raise InputError(
                f"pixels: {self.pixels} given, at least {min(self.sizes) ** 2} needed for the"
                f" smallest size {min(self.sizes)}"
            )
        for name in ("noise", "acceleration", "calibration"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name}: ({low}, {high}) given, the smaller one first needed")
        if self.acceleration[0] < 1 or self.few < self.acceleration[0]:
            raise InputError(
                f"acceleration: {self.acceleration} given, 1 or more and at most `few`"
                f" ({self.few}) to begin with needed"
            )

    def frame(self, random: np.random.Generator) -> Frame:
        """Size and number of coils of a batch."""
        while True:
            rows, columns = (int(random.choice(self.sizes)) for _ in range(2))
            if rows * columns <= self.pixels:
                return Frame((rows, columns), int(random.choice(self.coils)))

    def draw(self, image: Tensor, frame: Frame, random: np.random.Generator, name: str) -> Sample:
        """The Sample of one measurement of an image (y, x); its reference is the coil combination
        of the noiseless full k-space.
        """
        coil_maps = self._coils(random, frame)
        clean = fft2c(coil_maps * image)
        low, high = self.noise
        level = math.exp(random.uniform(math.log(low), math.log(high)))
        parts = random.standard_normal((*clean.shape, 2)).astype(np.float32)
        noise = torch.view_as_complex(torch.from_numpy(parts))
        if frame.coils > 1 and random.random() < self.colored:
            noise = mix_coils(_mixture(random, frame.coils, 0.4, 0.4 * self.gain), noise)
        mask = self._mask(random, frame)
        kspace = (clean + level * noise) * mask
        estimated = self._maps(random, kspace, mask)
        scale = float(_combined(kspace, estimated).abs().max()) or 1.0
        reference = _combined(clean, estimated) / scale
        target = reference.abs()
        return Sample(
            kspace=kspace / scale,
            operator=CartesianOperator(mask, estimated),
            scale=scale,
            file=name,
            slice=0,
            contrast="varied",
            crop=frame.shape,
            truth=KnownTruth(target, reference, float(target.max()) * scale),
        )

    def _coils(self, random: np.random.Generator, frame: Frame) -> Tensor:
        """Sensitivities, complex64 (coil, y, x)."""
        coils, seed = frame.coils, int(random.integers(2**31))
        if coils == 1:
            return simulate_coil_maps(1, frame.shape, seed)
        if coils >= 3 and random.random() < self.irregular:
            ring = coils + int(random.integers(1, coils))
            kept = np.sort(random.permutation(ring)[:coils])
            maps = simulate_coil_maps(ring, frame.shape, seed)[torch.from_numpy(kept)]
            # Coils shade; how much of it a scanner's own normalisation takes away differs.
            total = maps.abs().square().sum(0).sqrt()
            maps = maps / total.clamp_min(1e-3) ** random.uniform(0.3, 1.0)
        else:
            maps = simulate_coil_maps(coils, frame.shape, seed)
        if random.random() < self.mixed:
            maps = mix_coils(_mixture(random, coils, 1.0, self.gain), maps)
        return maps

    def _mask(self, random: np.random.Generator, frame: Frame) -> Tensor:
        """The measured lines, bool (x,)."""
        acceleration = random.uniform(*self.acceleration)
        if frame.coils < 4:
            acceleration = min(acceleration, random.uniform(self.acceleration[0], self.few))
        share = min(random.uniform(*self.calibration), MOST_CALIBRATION / acceleration)
        kind = EquispacedMask if random.random() < self.equispaced else RandomMask
        mask = kind(acceleration, share).sample(frame.shape[1], int(random.integers(2**31)))
        if random.random() < self.half:
            mask[: calibration_lines(mask).start] = False
        return mask

    def _maps(self, random: np.random.Generator, kspace: Tensor, mask: Tensor) -> Tensor:
        """The maps that a user would estimate, complex (coil, y, x)."""
        auto = Auto(kernel=SMALL_PATCH if len(kspace) > MANY_COILS else PATCH)
        method = auto if random.random() < self.espirit else LowResolution()
        return estimate_coil_maps(kspace, calibration_lines(mask), method)


def _combined(kspace: Tensor, maps: Tensor) -> Tensor:
    return (ifft2c(kspace) * maps.conj()).sum(-3)


def _mixture(random: np.random.Generator, coils: int, strength: float, gain: float) -> Tensor:
    """A random matrix near the identity, complex64 (coil, coil); its rows' lengths differ by
    `gain`.
    """
    parts = random.standard_normal((coils, coils, 2)) @ [1, 1j]
    matrix = np.eye(coils) + strength * parts / math.sqrt(2 * coils)
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix = matrix * np.exp(gain * random.standard_normal((coils, 1)))
    return torch.from_numpy(matrix.astype(np.complex64))
