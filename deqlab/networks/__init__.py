"""Denoisers and the tools that measure how strongly a map contracts."""

from deqlab.networks.dncnn import DnCNN
from deqlab.networks.measure import expansion, spectral_norm, spectral_radius

__all__ = ["DnCNN", "expansion", "spectral_norm", "spectral_radius"]
