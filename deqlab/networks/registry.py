"""Denoisers by name, one line each."""

from torch import nn

from deqlab.core.registry import Registry
from deqlab.networks.adaptive_ridge import AdaptiveRidge
from deqlab.networks.demodulated_unet import DemodulatedUNet
from deqlab.networks.dncnn import DnCNN
from deqlab.networks.gradient_step import GradientStep
from deqlab.networks.learnlets import Learnlets
from deqlab.networks.modulus_unet import ModulusUNet
from deqlab.networks.mwcnn import MWCNN
from deqlab.networks.protocol import Denoiser
from deqlab.networks.ridge import Ridge
from deqlab.networks.told_unet import ToldUNet
from deqlab.networks.unet import UNet

DENOISERS: Registry[Denoiser] = Registry(
    "denoiser",
    {
        "dncnn": DnCNN,
        "unet": UNet,
        "told-unet": ToldUNet,
        "demodulated-unet": DemodulatedUNet,
        "mwcnn": MWCNN,
        "learnlets": Learnlets,
        "modulus-unet": ModulusUNet,
        "gradient-step": GradientStep,
        "ridge": Ridge,
        "adaptive-ridge": AdaptiveRidge,
    },
    also=(nn.Module,),
)
