"""Visual information fidelity in the pixel domain.

H. R. Sheikh, A. C. Bovik, Image information and visual quality, IEEE TIP 15 (2006), in the
simplified form of Gaussian windows in four scales.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import correlate1d

from deqlab.core.errors import InputError
from deqlab.core.options import Positive, option, options
from deqlab.metrics.convention import RangedConvention
from deqlab.metrics.protocol import Better, volumes

WINDOWS = (17, 9, 5, 3)
# Below this size no window of the coarsest scale fits.
SMALLEST = 41
# The unit of intensity that the eye's noise is told in.
GREYS = 255.0
NOTHING = 1e-10


@options
class VIF(RangedConvention):
    """How much of the information that an observer gets from the target he gets from the image: 1
    for the target itself, above it where contrast is enhanced.

    The observer's eye has noise of variance 2 on a scale of 255 greys. Images are brought to that
    scale by their data range first: left between 0 and 1 they would lie below that noise, and a bad
    image would score nearly as high as a good one. The information is summed over the volume (or
    each slice), and over windows whose middle is in the region.
    """

    eye_noise: Positive = option(2.0, "variance of the observer's noise, of a range of 255 greys")

    better: ClassVar[Better] = "higher"
    title: ClassVar[str] = "VIF"
    digits: ClassVar[int] = 4

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from magnitude volumes (slices, y, x); NaN for a target without any detail.
        maximum: the data range, that of the target volume where None. InputError for slices smaller
        than 41x41.
        """
        target, image = volumes(target, image)
        if min(target.shape[1:]) < SMALLEST:
            size = "x".join(map(str, target.shape[1:]))
            raise InputError(
                f"vif: slices of {size} given, at least {SMALLEST}x{SMALLEST} needed, for the"
                " coarsest of four scales"
            )

        def one(target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
            unit = GREYS / self.peak(target, maximum)
            seen, there = 0.0, 0.0
            for t, i, f in zip(unit * target, unit * image, inside):
                more = _information(t, i, f, self.eye_noise)
                seen, there = seen + more[0], there + more[1]
            return seen / there if there > 0 else float("nan")

        return self.score(one, target, image)


vif = VIF()


def _information(
    target: np.ndarray, image: np.ndarray, inside: np.ndarray, noise: float
) -> tuple[float, float]:
    """What an observer gets from the image and what he gets from the target, of one slice."""
    seen, there = 0.0, 0.0
    for scale, window in enumerate(WINDOWS):
        kernel = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * (window / 5) ** 2))
        kernel /= kernel.sum()
        if scale > 0:
            target, image = (_fitting(z, kernel)[::2, ::2] for z in (target, image))
            inside = _cropped(inside, window)[::2, ::2]
        mean_t, mean_i = _fitting(target, kernel), _fitting(image, kernel)
        var_t = np.maximum(_fitting(target * target, kernel) - mean_t * mean_t, 0)
        var_i = np.maximum(_fitting(image * image, kernel) - mean_i * mean_i, 0)
        covariance = _fitting(target * image, kernel) - mean_t * mean_i
        # The image as gain times the target, plus noise: that is what a distortion is here.
        gain = covariance / (var_t + NOTHING)
        # No gain: nothing comes through where either is flat, or where contrast is turned round.
        gain[(var_t < NOTHING) | (var_i < NOTHING) | (gain < 0)] = 0
        var_t[var_t < NOTHING] = 0
        added = np.where(gain > 0, var_i - gain * covariance, var_i)
        added = np.maximum(added, NOTHING)
        counted = _cropped(inside, window)
        seen += float(np.log2(1 + gain**2 * var_t / (added + noise))[counted].sum())
        there += float(np.log2(1 + var_t / noise)[counted].sum())
    return seen, there


def _fitting(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The weighted mean over every window that fits."""
    for axis in (0, 1):
        values = correlate1d(values, kernel, axis)
    return _cropped(values, len(kernel))


def _cropped(values: np.ndarray, window: int) -> np.ndarray:
    edge = window // 2
    return values[edge:-edge, edge:-edge]
