"""Estimators of coil maps by name, one line each."""

from deqlab.core.registry import Preset, Registry
from deqlab.signal.coils.coil_maps import CoilMapMethod, LowResolution
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.walsh import Walsh

# "espirit-cropped" tells least squares that there is nothing in air, which is worth decibels to it
# and nothing to learned models.
COIL_MAPS: Registry[CoilMapMethod] = Registry(
    "coil maps",
    {
        "lowres": LowResolution,
        "espirit": ESPIRiT,
        "espirit-cropped": Preset(ESPIRiT, {"outside": "zero"}),
        "walsh": Walsh,
    },
)
