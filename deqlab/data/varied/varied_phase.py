"""Phase as scans have it: smooth and steep, along anatomy, and partly gone into the coil maps."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deqlab.core.options import NonNegative, Share, option, options


@options
class PhaseVariation:
    """How the phase of images varies. Shares are probabilities."""

    fat: Share = option(
        0.6, "share in which fat has any angle against water, as in gradient echoes; none in others"
    )
    tissue: Share = option(
        0.35, "share in which a range of intensities has an angle of its own: marrow, blood, iron"
    )
    smooth: NonNegative = option(
        1.5, "radians of a smooth field at most: inhomogeneity, coils, eddy currents"
    )
    echo: Share = option(0.5, "share whose echo lies off the centre of k-space: a linear phase")
    echo_shift: NonNegative = option(0.2, "radians a pixel of that linear phase at most")
    bumps: Share = option(0.3, "share with steep local fields, as above the sinuses")
    demodulated: Share = option(
        0.4, "share whose low-resolution phase is taken out, as coil maps take it along"
    )

    def draw(self, magnitude: Tensor, random: np.random.Generator) -> Tensor:
        """The phase of an image in radians, real (y, x), but for that of fat.

        magnitude: real (y, x), of peak 1.
        """
        rows, columns = magnitude.shape
        field = smooth_field(random, (rows, columns), int(random.integers(2, 6)))
        phase = random.uniform(-math.pi, math.pi) + random.uniform(0, self.smooth) * field
        if random.random() < self.tissue:
            low, width = random.uniform(0.05, 0.9), random.uniform(0.1, 0.5)
            sharp = random.uniform(0.01, 0.1)
            above = torch.sigmoid((magnitude - low) / sharp)
            below = torch.sigmoid((low + width - magnitude) / sharp)
            phase = phase + random.uniform(-math.pi, math.pi) * above * below
        y = torch.arange(rows, dtype=torch.float32)[:, None]
        x = torch.arange(columns, dtype=torch.float32)
        if random.random() < self.echo:
            # Squared: most echoes are nearly where they should be.
            slope, way = self.echo_shift * random.random() ** 2, random.uniform(-math.pi, math.pi)
            phase = phase + slope * (math.cos(way) * y + math.sin(way) * x)
        if random.random() < self.bumps:
            for _ in range(int(random.integers(1, 4))):
                radius = random.uniform(0.03, 0.2) * max(rows, columns)
                distance = (y - random.uniform(0, rows)) ** 2 + (
                    x - random.uniform(0, columns)
                ) ** 2
                bump = torch.exp(-distance / (2 * radius**2))
                phase = phase + random.uniform(-4, 4) * bump
        return phase


def smooth_field(random: np.random.Generator, shape: tuple[int, int], knots: int) -> Tensor:
    """A smooth field of about unit variance, real `shape`, from knots x knots random numbers."""
    control = random.standard_normal((1, 1, knots, knots)).astype(np.float32)
    field = functional.interpolate(
        torch.from_numpy(control), size=shape, mode="bicubic", align_corners=True
    )
    return field[0, 0]


def local_phase_of(image: Tensor, random: np.random.Generator) -> Tensor:
    """exp(i phase) of an image at a resolution of 4 to 16 pixels, with a little noise, complex (y,
    x): what maps from few calibration lines take along.
    """
    side = int(random.integers(4, 17))
    rows, columns = image.shape
    channels = torch.view_as_real(image).permute(2, 0, 1)[None]
    coarse = (max(2, round(rows / side)), max(2, round(columns / side)))
    low = functional.adaptive_avg_pool2d(channels, coarse)
    noise = random.standard_normal(tuple(low.shape)).astype(np.float32)
    low = low + 0.005 * torch.from_numpy(noise)
    low = functional.interpolate(low, size=(rows, columns), mode="bicubic", align_corners=False)[0]
    return torch.view_as_complex(low.permute(1, 2, 0).contiguous()).sgn()
