"""Draws of varied training data: pure functions of (seed, step, index)."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from deqlab.core.options import Count, option, options
from deqlab.data.sample import Sample
from deqlab.data.truth import KnownTruth
from deqlab.data.varied.anatomies import AnatomyOptions
from deqlab.data.varied.registry import MEASUREMENTS
from deqlab.data.varied.varied_images import Variation
from deqlab.data.varied.varied_measurements import Measurements
from deqlab.operators import CartesianOperator
from deqlab.signal.transforms.fourier import fft2c

# Streams of random numbers that have nothing in common.
WINDOWS, SCANS = 0, 1


@options
class VariedOptions:
    """Of what varied data are made."""

    anatomy: AnatomyOptions = option(AnatomyOptions(), "the slices that images are made of")
    images: Variation = option(Variation(), "how images vary")
    measurements: Annotated[Any, MEASUREMENTS] = option(Measurements(), "how they are measured")
    window: Count = option(96, "pixels along a side of the images that a denoiser learns from")


class Varied:
    """Draws as `VariedOptions` describe them; the anatomies are made or read at once, into `cache`.

    Draws of one seed and step share their size and their number of coils, so that they can share a
    batch (`deqlab.data.sample.collate`).
    """

    def __init__(self, chosen: VariedOptions, cache: str | Path | None = None):
        self.options = chosen
        self.anatomies = chosen.anatomy.load(cache)

    def scan(self, seed: int, step: int, index: int) -> Sample:
        """An undersampled measurement with estimated coil maps; its reference has no noise."""
        measurements = self.options.measurements
        frame = measurements.frame(_generator(seed, SCANS, step))
        random = _generator(seed, SCANS, step, index)
        whole = random.random() < measurements.whole
        image = self.options.images.draw(self.anatomies, random, frame.shape, whole)
        sample: Sample = measurements.draw(image, frame, random, f"draw {step}.{index}")
        return sample

    def window(self, seed: int, step: int, index: int) -> Sample:
        """An image for a denoiser to learn from: a window of any place of it, fully sampled by one
        coil and without noise.
        """
        side = self.options.window
        random = _generator(seed, WINDOWS, step, index)
        image = self.options.images.draw(self.anatomies, random, (side, side))
        return Sample(
            kspace=fft2c(image)[None],
            operator=CartesianOperator(torch.ones(side, dtype=torch.bool)),
            scale=1.0,
            file=f"window {step}.{index}",
            slice=0,
            contrast="varied",
            crop=(side, side),
            truth=KnownTruth(image.abs(), image, 1.0),
        )


def _generator(*numbers: int) -> np.random.Generator:
    # A trailing zero would change nothing in a seed, so every list ends with its length.
    return np.random.default_rng([*numbers, len(numbers)])
