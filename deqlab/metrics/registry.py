"""Metrics by name, one line each, in the order in which tables show them."""

from deqlab.core.registry import Registry
from deqlab.metrics.nmse import NMSE
from deqlab.metrics.protocol import Metric
from deqlab.metrics.psnr import PSNR
from deqlab.metrics.ssim import SSIM

METRICS: Registry[Metric] = Registry("metric", {"psnr": PSNR, "ssim": SSIM, "nmse": NMSE})
