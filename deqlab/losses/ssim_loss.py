"""One minus the structural similarity.

Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP
13 (2004), with the window and constants of the fastMRI benchmark.
"""

from typing import Literal

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import Positive, option, options
from deqlab.losses.window_mean import WINDOW, window_mean

K1, K2 = 0.01, 0.03


@options
class SSIMLoss:
    """1 - SSIM of magnitudes, mean over windows and slices: 7x7 uniform window, k1 = 0.01, k2 =
    0.03, unbiased variances, border left out. The metric `ssim` is the same number on volumes.

    Of complex images it sees the magnitude only, and says nothing of the phase.
    """

    per: Literal["slice", "volume"] = option(
        "slice",
        "whose maximum of the reference is the data range: each slice's own, or that of"
        " all slices given",
    )
    data_range: Positive | None = option(None, "known beforehand, in place of a maximum")

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images (batch, y, x). InputError for images smaller
        than the window.
        """
        return 1 - ssim_values(image, reference, self._peak(reference)).mean()

    def _peak(self, reference: Tensor) -> Tensor:
        size = magnitude(reference.detach())
        if self.data_range is not None:
            return torch.full_like(size[..., :1, :1], self.data_range)
        return size.amax((-2, -1), keepdim=True) if self.per == "slice" else size.amax()


def magnitude(image: Tensor) -> Tensor:
    """The modulus of a complex image; a real one is a magnitude already."""
    return image.abs() if image.is_complex() else image


def ssim_values(image: Tensor, reference: Tensor, peak: Tensor) -> Tensor:
    """SSIM of every window that fits, real (..., y - 6, x - 6), of images (..., y, x).

    peak: the data range, of a shape that is broadcast to the images'. InputError for images smaller
    than the window.
    """
    if min(image.shape[-2:]) < WINDOW:
        size = "x".join(map(str, image.shape[-2:]))
        raise InputError(f"ssim: images of {size} given, at least {WINDOW}x{WINDOW} needed")
    a, b = magnitude(image), magnitude(reference)
    # An empty slice has no range: all that is left is that the two agree in being empty. The root,
    # as the two constants are multiplied.
    least = torch.finfo(a.dtype).tiny ** 0.5
    c1, c2 = ((k * peak).square().clamp_min(least) for k in (K1, K2))
    # a^2 + b^2 is all that SSIM needs of the squares: four windows and not five.
    mean_a, mean_b = window_mean(a), window_mean(b)
    squares, products = window_mean(a * a + b * b), window_mean(a * b)
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    both = mean_a * mean_b
    means = mean_a.square() + mean_b.square()
    covariance = unbiased * (products - both)
    variances = unbiased * (squares - means)
    return (2 * both + c1) * (2 * covariance + c2) / ((means + c1) * (variances + c2))
