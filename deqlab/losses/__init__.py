"""Losses between a reconstruction and its reference, as objects."""

from deqlab.losses.l1 import L1Loss
from deqlab.losses.l2 import L2Loss
from deqlab.losses.log_error import LogErrorLoss
from deqlab.losses.nrmse import NRMSELoss
from deqlab.losses.of_magnitudes import MagnitudeLoss
from deqlab.losses.perpendicular import PerpendicularLoss
from deqlab.losses.registry import LOSSES
from deqlab.losses.ssim_loss import SSIMLoss
from deqlab.losses.surface import loss_surface
from deqlab.losses.vector_field import VectorFieldLoss

__all__ = [
    "LOSSES",
    "L1Loss",
    "L2Loss",
    "LogErrorLoss",
    "MagnitudeLoss",
    "NRMSELoss",
    "PerpendicularLoss",
    "SSIMLoss",
    "VectorFieldLoss",
    "loss_surface",
]
