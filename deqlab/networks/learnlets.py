"""Learnlets: a wavelet denoiser whose filters and thresholds are learned, and nothing else: what a
network can do that keeps what is known of wavelets.

Z. Ramzi, J.-L. Starck, T. Moreau and P. Ciuciu, Wavelets in the deep learning era, EUSIPCO 2020; Z.
Ramzi, K. Michalewicz, J.-L. Starck, T. Moreau and P. Ciuciu, arXiv 2212.00166, whose form with
exact reconstruction this is. Departures: images are complex, filters real and thresholds of moduli,
so that a phase of the image turns the result and changes nothing else; the noise at each threshold
follows from the filters, where the paper estimates it.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.border import to_complex
from deqlab.networks.demodulated_unet import FLOOR
from deqlab.networks.thresholds import AnyThreshold, Soft
from deqlab.networks.told_network import ToldNetwork
from deqlab.signal.transforms.starlet import detail_correlation, spline, starlet

# Where thresholds begin and where they end, in standard deviations of the noise that meets them.
FIRST, LARGEST = 2.0, 5.0


@options
class LearnletsOptions(Options):
    """The architecture of `Learnlets`."""

    scales: Count = option(4, "of the starlet, beside what is left")
    filters: Count = option(16, "analysis filters, and as many for synthesis, of each scale")
    analysis: Count = option(5, "pixels along a side of an analysis filter, an odd number")
    synthesis: Count = option(5, "pixels along a side of a synthesis filter, an odd number")
    threshold: AnyThreshold = option(Soft(), "what is left of a coefficient")
    learned_split: bool = option(
        False, "whether the starlet's low-pass filters are learned as well, each scale its own"
    )
    level: Positive = option(
        0.02, "noise that the network removes unless it is told, relative to the image's peak"
    )

    sizes: ClassVar[Sizes] = {
        "small": {"scales": 4, "filters": 16, "analysis": 5, "synthesis": 5},
        "published": {"scales": 5, "filters": 64, "analysis": 11, "synthesis": 13},
    }

    def __post_init__(self) -> None:
        for name, value in (("analysis", self.analysis), ("synthesis", self.synthesis)):
            if value % 2 == 0:
                raise InputError(f"{name}: {value} given, an odd number needed")


class Learnlets(ToldNetwork):
    """R(x, level) = sum_s S_s [T1(W_s d_s) - W_s T2(d_s)] + T2(d_s), and what the starlet leaves,
    on complex images (batch, y, x) of any size. Its arguments are `LearnletsOptions`.

    d_s: the starlet's details; W_s: filters of unit norm; T1 and T2: thresholds of alpha_s sigma,
    sigma the standard deviation of the noise (of its real and its imaginary part) that meets them
    if that of the image is `level`, and alpha_s of T1 and of T2 learned, in [0, 5].

    - R(x, 0) = x, whatever the filters are.
    - R(c x, |c| level) = c R(x, level) for every complex number c.

    It promises no Lipschitz bound.
    """

    Options = LearnletsOptions
    low_pass: Tensor

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = size = self.Options.of(*values, **named)
        shape = size.scales, size.filters
        self.kernels = nn.Parameter(torch.randn(*shape, size.analysis, size.analysis))
        self.synthesis = nn.Parameter(torch.zeros(*shape, size.synthesis, size.synthesis))
        self.strengths = nn.Parameter(torch.full((2, size.scales), FIRST))
        if size.learned_split:
            self.low_pass = nn.Parameter(spline(size.scales))
        else:
            self.register_buffer("low_pass", spline(size.scales), persistent=False)
        with torch.no_grad():
            # Many random filters, each followed by itself turned by 180 degrees, are nearly a
            # multiple of the identity.
            turned = _fitted(self.analysis.flip(-2, -1), size.synthesis)
            self.synthesis.copy_(turned / size.filters)

    @property
    def analysis(self) -> Tensor:
        """The analysis filters W, of unit norm: real (scale, filter, n, n)."""
        return self.kernels / torch.linalg.vector_norm(self.kernels, dim=(-2, -1), keepdim=True)

    def after_step(self) -> None:
        """alpha in [0, 5]; low-pass filters leave a constant as it is."""
        with torch.no_grad():
            self.strengths.clamp_(0, LARGEST)
            self.low_pass[:, 0] = 1 - 2 * self.low_pass[:, 1:].sum(1)

    def noise(self) -> tuple[Tensor, Tensor]:
        """The standard deviation of what white noise of standard deviation 1 becomes in W_s d_s,
        real (scale, filter), and in d_s, real (scale,); away from the image's borders.
        """
        kernels, reach = self.analysis, self.options.analysis - 1
        with torch.autocast(kernels.device.type, enabled=False):
            covariance = detail_correlation(self.low_pass, reach)
            # Filters as the batch, scales as groups: w^T C w is the response's variance.
            seen = conv2d(
                kernels.transpose(0, 1), covariance.unsqueeze(1), padding=reach, groups=len(kernels)
            ).transpose(0, 1)
        variance = (kernels * seen).sum((-2, -1))
        return _root(variance), _root(covariance[:, reach, reach])

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x). level: real (batch, 1, 1), in the units of the image; None
        for that of the options.
        """
        inside, told, unit = self.in_units_of_peak(image, level)
        details, coarse = starlet(inside, self.low_pass)
        parts = torch.stack((details.real, details.imag), 1)
        of_filters, of_details = self.noise()
        first, second = self.strengths
        kept = self._shrunk(parts, told.unsqueeze(1) * (second * of_details)[:, None, None])
        filtered = (first[:, None] * of_filters).flatten()[:, None, None]
        responses = self._shrunk(self._analysed(parts), told.unsqueeze(1) * filtered)
        change = self._synthesised(responses - self._analysed(kept)) + kept.sum(2)
        return unit * (to_complex(change) + coarse)

    def _shrunk(self, parts: Tensor, threshold: Tensor) -> Tensor:
        """T(c) of real and imaginary parts (batch, 2, channel, y, x)."""
        squared = parts.square().sum(1)
        floor = FLOOR * squared.mean((-2, -1), keepdim=True) + torch.finfo(squared.dtype).tiny
        modulus = (squared + floor).sqrt()
        return parts * self.options.threshold.gain(modulus, threshold).unsqueeze(1)

    def _analysed(self, parts: Tensor) -> Tensor:
        """W of details, real (batch, 2, scale, y, x), to (batch, 2, scale filter, y, x)."""
        found = conv2d(
            parts.flatten(0, 1),
            self.analysis.flatten(0, 1).unsqueeze(1),
            padding=self.options.analysis // 2,
            groups=self.options.scales,
        )
        # Under autocast convolutions run in bfloat16; thresholds see the precision of the image.
        return found.to(parts.dtype).unflatten(0, (-1, 2))

    def _synthesised(self, responses: Tensor) -> Tensor:
        """The sum of S over all scales, real (batch, 2, y, x)."""
        kernels = self.synthesis.flatten(0, 1).unsqueeze(0)
        found = conv2d(responses.flatten(0, 1), kernels, padding=self.options.synthesis // 2)
        return found.squeeze(1).to(responses.dtype).unflatten(0, (-1, 2))


def _root(variance: Tensor) -> Tensor:
    """The square root; of the little below 0 that rounding leaves of 0, nearly 0."""
    return variance.clamp_min(torch.finfo(variance.dtype).eps ** 2).sqrt()


def _fitted(kernels: Tensor, side: int) -> Tensor:
    """Kernels (..., n, n), cropped or continued by zeros around their middle."""
    margin = (side - kernels.shape[-1]) // 2
    return nn.functional.pad(kernels, (margin, margin, margin, margin))
