"""Denoisers by name, one line each."""

from torch import nn

from deqlab.core.registry import Registry
from deqlab.networks.dncnn import DnCNN

DENOISERS: Registry[nn.Module] = Registry("denoiser", {"dncnn": DnCNN}, also=(nn.Module,))
