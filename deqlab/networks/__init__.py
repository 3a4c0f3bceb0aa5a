"""Denoisers."""

from deqlab.networks.adaptive_ridge import AdaptiveRidge
from deqlab.networks.demodulated_unet import DemodulatedUNet
from deqlab.networks.dncnn import DnCNN
from deqlab.networks.gradient_step import GradientStep
from deqlab.networks.learnlets import Learnlets
from deqlab.networks.modulus_unet import ModulusUNet
from deqlab.networks.mwcnn import MWCNN
from deqlab.networks.registry import DENOISERS
from deqlab.networks.ridge import Ridge
from deqlab.networks.told_unet import ToldUNet
from deqlab.networks.unet import UNet

__all__ = [
    "DENOISERS",
    "MWCNN",
    "AdaptiveRidge",
    "DemodulatedUNet",
    "DnCNN",
    "GradientStep",
    "Learnlets",
    "ModulusUNet",
    "Ridge",
    "ToldUNet",
    "UNet",
]
