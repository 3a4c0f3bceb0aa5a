"""Metrics by name, one line each, in the order in which tables show them."""

from deqlab.core.registry import Registry
from deqlab.metrics.hfen import HFEN
from deqlab.metrics.magnitude_bias import MagnitudeBias
from deqlab.metrics.nmse import NMSE
from deqlab.metrics.phase_error import PhaseError
from deqlab.metrics.protocol import Metric
from deqlab.metrics.psnr import PSNR
from deqlab.metrics.ssim import SSIM
from deqlab.metrics.vif import VIF

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "psnr": PSNR,
        "ssim": SSIM,
        "nmse": NMSE,
        "vif": VIF,
        "hfen": HFEN,
        "magnitude-bias": MagnitudeBias,
        "phase-error": PhaseError,
    },
)
