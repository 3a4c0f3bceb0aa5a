"""Images as varied as scans are: anatomies and shapes in any orientation, contrast and resolution,
with the phase that scans have.

A network that has seen upright heads with a smooth phase and nothing else fails on scans. Every
draw is a pure function of its random generator.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deqlab.core.options import NonNegative, Positive, Share, option, options
from deqlab.data.varied.anatomies import Anatomies, Pair
from deqlab.data.varied.dead_leaves import dead_leaves
from deqlab.data.varied.uniform_object import uniform_object
from deqlab.data.varied.varied_phase import PhaseVariation, local_phase_of, smooth_field

# Averages of so many samples along each axis at most stand for a pixel of a coarser image.
FINEST = 4
TINY = 1e-6


@options
class Variation:
    """What varies in an image, and how much. Shares are probabilities; ranges are drawn from
    uniformly unless they say otherwise.
    """

    quarter_turns: bool = option(
        True, "whether images are turned by any quarter: arrays are stored in any order"
    )
    flips: bool = option(True, "whether half of them are mirrored")
    free_rotation: Share = option(0.3, "share turned by any angle; the others by up to `tilt`")
    tilt: NonNegative = option(0.2, "radians by which a head lies askew at most")
    matrix: tuple[Positive, Positive] = option(
        (90.0, 330.0),
        "pixels across the source's field of view in a window, drawn logarithmically: voxels of 0.7"
        " to 3 mm",
    )
    stretch: Positive = option(1.2, "ratio of a pixel's sides at most")
    gamma: Share = option(0.5, "share whose intensities are raised to a power")
    gammas: tuple[Positive, Positive] = option((0.6, 1.6), "that power")
    folded: Share = option(
        0.3, "share whose intensities are folded about a value: contrasts that no sequence here has"
    )
    bias: NonNegative = option(0.9, "logarithm of the shading by surface coils at most")
    vessels: Share = option(0.3, "share with bright dots, as inflow makes them")
    leaves: Share = option(0.2, "share of dead leaves in place of anatomy: edges of no organ")
    uniform: Share = option(0.06, "share of vessels of fluid: even surfaces with a sharp edge")
    ringing: Share = option(
        0.25, "share measured at low resolution and interpolated, so that edges ring"
    )
    phase: PhaseVariation = option(PhaseVariation(), "the phase")

    def draw(
        self,
        anatomies: Anatomies,
        random: np.random.Generator,
        shape: tuple[int, int],
        whole: bool = False,
    ) -> Tensor:
        """One image without noise, complex64 `shape`, of peak modulus 1.

        whole: the object lies in the image, as a field of view is chosen; else the image is a
            window of any place of it.
        """
        kind = random.random()
        if kind < self.leaves + self.uniform:
            water = (dead_leaves if kind < self.leaves else uniform_object)(random, shape)
            fat = torch.zeros_like(water)
        else:
            water, fat = self._placed(anatomies.draw(random), random, shape, whole)
        water, fat = self._contrast(water, fat, random)
        turned = random.random() < self.phase.fat
        angle = random.uniform(-math.pi, math.pi) if turned else 0.0
        image = water + fat * complex(math.cos(angle), math.sin(angle))
        image = _of_peak_one(image.to(torch.complex64))
        phase = self.phase.draw(image.abs(), random)
        image = image * torch.polar(torch.ones(shape), phase)
        if random.random() < self.ringing:
            image = _low_resolution(image, random)
        if random.random() < self.phase.demodulated:
            image = image * local_phase_of(image, random).conj()
        return _of_peak_one(image)

    def _placed(
        self, pair: Pair, random: np.random.Generator, shape: tuple[int, int], whole: bool
    ) -> tuple[Tensor, Tensor]:
        """Water and fat, turned, scaled and moved into `shape`."""
        source = torch.from_numpy(pair.astype(np.float32))[None]
        if self.flips and random.random() < 0.5:
            source = source.flip(-1)
        if self.quarter_turns:
            source = torch.rot90(source, int(random.integers(4)), (-2, -1))
        free = random.random() < self.free_rotation
        angle = random.uniform(-math.pi, math.pi) if free else random.uniform(-self.tilt, self.tilt)
        stretch = self.stretch ** random.uniform(-1, 1)
        if whole:
            share, reach = random.uniform(0.8, 1.3), 0.1
            # Most fields of view follow the object, some have square pixels.
            square = random.random() >= 0.7
            height, width = share, share * shape[1] / shape[0] if square else share
        else:
            low, high = self.matrix
            pixels = math.exp(random.uniform(math.log(low), math.log(high)))
            height, width = shape[0] / pixels, shape[1] / pixels
            reach = max(0.0, 0.9 - max(height, width) / 2) * 0.7
        rows, columns = source.shape[-2:]
        big = max(rows, columns)
        # From the image's grid [-1, 1]^2 to that of the source, whose longer side is 2.
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        scales = np.diag([width * stretch, height / stretch])
        matrix = turn @ scales * (big / np.array([[columns], [rows]]))
        matrix = np.column_stack((matrix, random.uniform(-reach, reach, 2)))
        over = max(1, min(FINEST, round(big * max(height, width) / max(shape))))
        theta = torch.from_numpy(matrix.astype(np.float32))[None]
        grid = functional.affine_grid(
            theta, [1, 2, shape[0] * over, shape[1] * over], align_corners=False
        )
        placed = functional.grid_sample(source, grid, mode="bilinear", align_corners=False)
        placed = functional.avg_pool2d(placed, over)
        return placed[0, 0], placed[0, 1]

    def _contrast(
        self, water: Tensor, fat: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Water and fat with another contrast, shading, and vessels."""
        rows, columns = water.shape
        magnitude = water.abs() + fat.abs()
        gain = torch.ones(rows, columns)
        if random.random() < self.gamma:
            gain = magnitude.clamp_min(1e-3) ** (random.uniform(*self.gammas) - 1)
        if random.random() < self.folded:
            distance = (magnitude - random.uniform(0.3, 1.2)).abs()
            # In air there is nothing to be folded.
            gain = gain * torch.where(magnitude > 0.06, distance / magnitude.clamp_min(0.06), 1)
        field = smooth_field(random, (rows, columns), int(random.integers(2, 5)))
        gain = gain * torch.exp(random.uniform(0, self.bias) * field)
        water, fat = water * gain, fat * gain
        if random.random() < self.vessels:
            inside = magnitude > 0.05 * magnitude.max()
            peak = float(magnitude.max())
            y, x = torch.arange(rows)[:, None], torch.arange(columns)
            for _ in range(int(random.integers(1, 6))):
                row, column = random.uniform(0, rows), random.uniform(0, columns)
                radius = random.uniform(0.6, 2.5)
                spot = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * radius**2)) * inside
                angle = complex(np.exp(1j * random.normal(0, 1.0)))
                water = water + random.uniform(0.3, 1.5) * peak * angle * spot
        return water, fat


def _of_peak_one(image: Tensor) -> Tensor:
    return image / image.abs().max().clamp_min(TINY)


def _low_resolution(image: Tensor, random: np.random.Generator) -> Tensor:
    """The image from the central part of its k-space: zero-filled interpolation, which rings."""
    spectrum = torch.fft.fft2(image)
    for axis, length in enumerate(image.shape):
        frequency = torch.fft.fftfreq(length).abs()
        kept = (frequency < random.uniform(0.28, 0.5)).to(torch.float32)
        spectrum = spectrum * (kept[:, None] if axis == 0 else kept)
    return torch.fft.ifft2(spectrum)
