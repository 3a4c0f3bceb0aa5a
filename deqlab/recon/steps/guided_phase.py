"""The phase of an image, smooth within tissues and free to jump from one to the next.

A guided filter: about each pixel the phase factor z / |z| is a linear function of |z|, fitted by
weighted least squares; so it may jump where |z| does. K. He, J. Sun and X. Tang, Guided image
filtering, IEEE TPAMI 35 (2013), eqs. (5) to (8), with weights that grow with |z|, for the phase of
air is noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.networks.demodulated_unet import gaussian_blur, modulus

# Weight of a pixel without signal, relative to the brightest.
AIR = 1e-3


@dataclass(frozen=True)
class GuidedPhase:
    """S: an image z, complex (batch, y, x), to q of modulus at most 1 whose angle is the local
    phase of z; |q| is small where the phases about a pixel disagree, as in air.

    S(c z) = c / |c| S(z) for every complex number c but 0. blur: standard deviation in pixels of
    the Gaussian windows. edge: differences of |z| below this share of its peak are no edge.
    """

    blur: float
    edge: float

    def __call__(self, image: Tensor) -> Tensor:
        """q."""
        peak = image.abs().amax((-2, -1), keepdim=True)
        z = image / torch.where(peak > 0, peak, torch.ones_like(peak))
        guide = modulus(z)
        weight = guide + AIR
        # The weighted phase factor weight * z / weight is z itself.
        total, first = self._real_blurs(weight, weight * guide)
        second, _ = self._real_blurs(weight * guide**2, torch.zeros_like(weight))
        mean, of_guide = self._blurred(z) / total, first / total
        variance = second / total - of_guide**2
        slope = (self._blurred(guide * z) / total - of_guide * mean) / (variance + self.edge**2)
        offset = mean - slope * of_guide
        fitted = self._blurred(weight * slope) * guide + self._blurred(weight * offset)
        found = fitted / total
        return found / modulus(found).clamp_min(1)

    def _blurred(self, image: Tensor) -> Tensor:
        return gaussian_blur(image, self.blur)

    def _real_blurs(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Two real images blurred at the price of one that is complex."""
        both = self._blurred(torch.complex(one, other))
        return both.real, both.imag
