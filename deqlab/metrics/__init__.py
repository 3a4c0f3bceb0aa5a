"""Metrics in the conventions of the fastMRI benchmark, and in others where they are asked for.

All take magnitude volumes (slices, y, x) as arrays (`phase_error` complex ones) and return one
number a volume. The data range is the maximum of the target *volume*: with a slice's own maximum
the same reconstruction scores several dB differently, so only like may be compared with like.
`PSNR(by="slice")` is the other convention; none mixes the two.
Source: J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI,
arXiv:1811.08839, section 5.
"""

from deqlab.metrics.hfen import HFEN, hfen
from deqlab.metrics.magnitude_bias import MagnitudeBias, magnitude_bias
from deqlab.metrics.nmse import NMSE, nmse
from deqlab.metrics.phase_error import PhaseError, phase_error
from deqlab.metrics.psnr import PSNR, psnr
from deqlab.metrics.regions import InsideObject, Marked
from deqlab.metrics.registry import METRICS
from deqlab.metrics.ssim import SSIM, ssim
from deqlab.metrics.vif import VIF, vif

__all__ = [
    "HFEN",
    "METRICS",
    "NMSE",
    "PSNR",
    "SSIM",
    "VIF",
    "InsideObject",
    "MagnitudeBias",
    "Marked",
    "PhaseError",
    "hfen",
    "magnitude_bias",
    "nmse",
    "phase_error",
    "psnr",
    "ssim",
    "vif",
]
