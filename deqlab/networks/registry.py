"""Denoisers, and what else networks are chosen for, by name, one line each."""

from torch import nn

from deqlab.core.registry import Registry
from deqlab.networks.adaptive_ridge import AdaptiveRidge
from deqlab.networks.coil_refiner import CoilRefiner
from deqlab.networks.demodulated_unet import DemodulatedUNet
from deqlab.networks.dncnn import DnCNN
from deqlab.networks.gradient_step import GradientStep
from deqlab.networks.learnlets import Learnlets
from deqlab.networks.magnitude_unet import MagnitudeUNet
from deqlab.networks.modulus_unet import ModulusUNet
from deqlab.networks.multi_scale import MultiScaleNetwork
from deqlab.networks.mwcnn import MWCNN, MultiWaveletNetwork
from deqlab.networks.protocol import ChannelNetwork, Denoiser
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
        "magnitude-unet": MagnitudeUNet,
    },
    also=(nn.Module,),
)
# Between real channels, for whoever says how many: `deqlab.networks.protocol.ChannelNetwork`.
CHANNEL_NETWORKS: Registry[ChannelNetwork] = Registry(
    "network", {"multi-scale": MultiScaleNetwork, "multi-wavelet": MultiWaveletNetwork}
)
COIL_REFINERS: Registry[CoilRefiner] = Registry("coil refiner", {"coil-unet": CoilRefiner})
