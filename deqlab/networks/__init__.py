"""Denoisers and the tools that measure how strongly a map contracts."""

from deqlab.equilibrium.measure import expansion, spectral_norm, spectral_radius
from deqlab.networks.dncnn import DnCNN

__all__ = ["DnCNN", "expansion", "spectral_norm", "spectral_radius"]
