"""Denoisers."""

from deqlab.networks.dncnn import DnCNN
from deqlab.networks.registry import DENOISERS

__all__ = ["DENOISERS", "DnCNN"]
