"""Losses between a reconstruction and its reference, as objects."""

from deqlab.losses.l1 import L1Loss
from deqlab.losses.l2 import L2Loss
from deqlab.losses.log_error import LogErrorLoss
from deqlab.losses.nrmse import NRMSELoss
from deqlab.losses.registry import LOSSES

__all__ = ["LOSSES", "L1Loss", "L2Loss", "LogErrorLoss", "NRMSELoss"]
