"""What every volume undergoes on its way to a Sample."""

from typing import Annotated, Any

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import Count, option, options
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.signal.coils.air_noise import NoWhitening
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.coils.registry import WHITENING


@options
class Preparation:
    """How volumes become Samples."""

    coil_maps: Any = option(
        LowResolution(),
        "how they are estimated from the calibration lines, or from the samples near the centre; or"
        " the file that has them",
    )
    noise: float | tuple[float, float] = option(
        0.0,
        "standard deviation of complex noise added to k-space as a share of the fully sampled"
        " maximum, or (low, high) to draw it from",
    )
    max_pixels: Count | None = option(
        None,
        "keep a random strip of at most so many pixels (whole rows, at least one), which is exact;"
        " off the grid there are no strips, and a larger image is refused",
    )
    whiten: Annotated[Any, WHITENING] = option(
        NoWhitening(), "whether coils are mixed so that their noise is white, and how it is found"
    )
    coils: Count | None = option(
        None, "compress to at most so many virtual coils, after whitening; None to keep all"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.coil_maps, StoredMaps) and not hasattr(self.coil_maps, "estimate"):
            raise InputError(
                f"coil_maps: {self.coil_maps!r} given; LowResolution(), Auto(), ESPIRiT(),"
                " Walsh() or StoredMaps(path) needed"
            )
        low, high = self.noise_range
        if not 0 <= low <= high < float("inf"):
            raise InputError(f"noise: {self.noise} given; 0 or more, or (low, high), needed")

    @property
    def noise_range(self) -> tuple[float, float]:
        """(low, high)."""
        return self.noise if isinstance(self.noise, tuple) else (self.noise, self.noise)

    def draw_noise(self, rng: np.random.Generator) -> float:
        """The noise of one slice; `rng` is asked only where there is a choice."""
        low, high = self.noise_range
        return low if low == high else float(rng.uniform(low, high))
