"""Methods by name, one line each: what notebooks, evaluation and the shell share."""

from typing import Any

from deqlab.core.registry import Registry
from deqlab.recon.base import Reconstructor
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.grappa import GRAPPA
from deqlab.recon.classical.sense import SENSE
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.recon.deq.de_admm import DEADMM
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.de_prox import DEProx
from deqlab.recon.deq.de_ridge import DERidge
from deqlab.recon.deq.de_ridge_adaptive import DERidgeAdaptive
from deqlab.recon.deq.joint_de_grad import JointDEGrad
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad
from deqlab.recon.deq.mol import MOL
from deqlab.recon.deq.plug_and_play import PlugAndPlay
from deqlab.recon.deq.referenced_de_grad import ReferencedDEGrad
from deqlab.recon.direct.automap import AutoMAP
from deqlab.recon.direct.unet_on_images import UNetOnImages
from deqlab.recon.sparse.total_variation import TotalVariation
from deqlab.recon.sparse.wavelet import WaveletFISTA
from deqlab.recon.unrolled.cascade import CascadeNet
from deqlab.recon.unrolled.kiki_net import KIKINet
from deqlab.recon.unrolled.modl import MoDL
from deqlab.recon.unrolled.ncpdnet import NCPDNet
from deqlab.recon.unrolled.pdnet import PDNet
from deqlab.recon.unrolled.rim import RIM
from deqlab.recon.unrolled.xpdnet import XPDNet

METHODS: Registry[Reconstructor] = Registry(
    "model",
    {
        "zero-filled": ZeroFilled,
        "cg-sense": CGSense,
        "sense": SENSE,
        "grappa": GRAPPA,
        "wavelet": WaveletFISTA,
        "tv": TotalVariation,
        "pnp": PlugAndPlay,
        "de-prox": DEProx,
        "de-grad": DEGrad,
        "de-admm": DEADMM,
        "mol": MOL,
        "de-grad-measured": MeasuredDEGrad,
        "de-grad-joint": JointDEGrad,
        "de-grad-referenced": ReferencedDEGrad,
        "de-ridge": DERidge,
        "de-ridge-adaptive": DERidgeAdaptive,
        "unet": UNetOnImages,
        "pdnet": PDNet,
        "cascade-net": CascadeNet,
        "kiki-net": KIKINet,
        "modl": MoDL,
        "rim": RIM,
        "xpdnet": XPDNet,
        "ncpdnet": NCPDNet,
        "automap": AutoMAP,
    },
)


def create(name: str, **options: Any) -> Reconstructor:
    """The reconstructor `name`, with fresh weights where it learns; an unknown name or option is an
    InputError that names the nearest valid one.
    """
    return METHODS.make(name, **options)


def learned(name: str) -> bool:
    """Whether `name` has weights to train."""
    return METHODS[name].trained_by is not None


def trainable() -> list[str]:
    """The names of all methods that something trains."""
    return [name for name in METHODS if learned(name)]
