"""How varied images are measured, by name, one line each."""

from typing import Any

from deqlab.core.registry import Registry
from deqlab.data.varied.off_grid_measurements import OffGridMeasurements
from deqlab.data.varied.varied_measurements import Measurements

MEASUREMENTS: Registry[Any] = Registry(
    "measurements", {"lines": Measurements, "off-grid": OffGridMeasurements}
)
