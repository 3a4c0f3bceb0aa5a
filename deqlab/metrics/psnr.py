"""Peak signal-to-noise ratio."""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import options
from deqlab.metrics.convention import RangedConvention
from deqlab.metrics.protocol import Better, volumes


@options
class PSNR(RangedConvention):
    """10 log10(maximum^2 / mean squared error) in dB over the volume."""

    better: ClassVar[Better] = "higher"
    title: ClassVar[str] = "PSNR (dB)"
    digits: ClassVar[int] = 2

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x). maximum: the peak, that of the target
        volume where None.
        """

        def one(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
            peak, error = self.peak(target, maximum), np.mean((image - target)[inside] ** 2)
            return float(10 * np.log10(peak**2 / error))

        return self.score(one, *volumes(target, image))


psnr = PSNR()
