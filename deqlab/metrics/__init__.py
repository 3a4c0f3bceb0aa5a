"""PSNR, SSIM and NMSE in the conventions of the fastMRI benchmark.

All take magnitude volumes (slices, y, x) as arrays and return one number a volume. The data range
is the maximum of the target *volume*: with a slice's own maximum the same reconstruction scores
several dB differently, so only like may be compared with like.
Source: J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI,
arXiv:1811.08839, section 5.
"""

from deqlab.metrics.nmse import NMSE, nmse
from deqlab.metrics.psnr import PSNR, psnr
from deqlab.metrics.registry import METRICS
from deqlab.metrics.ssim import SSIM, ssim

__all__ = ["METRICS", "NMSE", "PSNR", "SSIM", "nmse", "psnr", "ssim"]
