"""Estimators of coil maps, and what decides about whitening, by name, one line each."""

from deqlab.core.registry import Preset, Registry
from deqlab.signal.coils.air_noise import NoWhitening, Whitener, WhiteningByAir
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.coils.coil_maps import CoilMapMethod, LowResolution
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.walsh import Walsh

# "espirit-cropped" tells least squares that there is nothing in air, which is worth decibels to it
# and nothing to learned models.
COIL_MAPS: Registry[CoilMapMethod] = Registry(
    "coil maps",
    {
        "auto": Auto,
        "lowres": LowResolution,
        "espirit": ESPIRiT,
        "espirit-cropped": Preset(ESPIRiT, {"outside": "zero"}),
        "walsh": Walsh,
    },
)

WHITENING: Registry[Whitener] = Registry("whitening", {"auto": WhiteningByAir, "none": NoWhitening})
