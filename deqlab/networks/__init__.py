"""Denoisers."""

from deqlab.networks.dncnn import DnCNN

__all__ = ["DnCNN"]
