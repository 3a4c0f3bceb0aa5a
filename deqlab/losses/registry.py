"""Losses by name, one line each."""

from deqlab.core.registry import Registry
from deqlab.losses.l1 import L1Loss
from deqlab.losses.l2 import L2Loss
from deqlab.losses.log_error import LogErrorLoss
from deqlab.losses.nrmse import NRMSELoss
from deqlab.losses.of_magnitudes import MagnitudeLoss
from deqlab.losses.perpendicular import PerpendicularLoss
from deqlab.losses.protocol import Loss
from deqlab.losses.ssim_loss import SSIMLoss

LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        "l1": L1Loss,
        "l2": L2Loss,
        "nrmse": NRMSELoss,
        "log-error": LogErrorLoss,
        "magnitude": MagnitudeLoss,
        "ssim": SSIMLoss,
        "perpendicular": PerpendicularLoss,
    },
)
