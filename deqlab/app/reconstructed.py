"""What a reconstruction of a volume is, and what is said of it."""

import math
from dataclasses import dataclass, field

import numpy as np

from deqlab.data.formats.ismrmrd_header import UNKNOWN, Voxel


@dataclass
class Reconstruction:
    """The magnitude images of a volume, and how each came about.

    images: float32 (slices, h, w), cropped like the target, at the input's intensity scale.
    slices: their indices in the input. mask: bool (columns,) or (rows, columns), what was sampled;
        None off the grid.
    evaluations, residual, converged: one entry per slice; all three empty for a method without a
        solver.
    explained: of each slice, the share of the calibration lines that its coil maps explain, NaN
        where that cannot be told.
    noise: of each slice, the standard deviation of its real part in k-space over max |A^H y|; empty
        off the grid. preparation: what was done to the coils and why, and where their maps come
        from, in words. attributes: texts such as the model's name. voxel: sides along (slice, row,
        column) in mm, each None where the input does not say it. zero_filled: position among the
        slices -> image, of those that are to be shown.
    """

    images: np.ndarray
    slices: list[int]
    mask: np.ndarray | None
    evaluations: list[int] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    explained: list[float] = field(default_factory=list)
    preparation: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    voxel: Voxel = UNKNOWN
    zero_filled: dict[int, np.ndarray] = field(default_factory=dict)


def prepared(result: Reconstruction) -> str:
    """How the data were prepared, on one line."""
    noise = [f"noise {np.median(result.noise):.2%} of max |A^H y|"] if result.noise else []
    shares = [share for share in result.explained if math.isfinite(share)]
    explained = [f"coil maps explain {min(shares):.1%} of the centre"] if shares else []
    return "; ".join([*noise, result.preparation, *explained])


def summary(result: Reconstruction) -> str:
    """What a user wants to know of a reconstruction, on one line."""
    slices, height, width = result.images.shape
    plural = "" if slices == 1 else "s"
    text = f"{slices} slice{plural} of {height}x{width}"
    text += "" if result.mask is None else f", {1 / result.mask.mean():.1f}x undersampled"
    if result.evaluations:
        worst = max((r for r in result.residual if math.isfinite(r)), default=math.nan)
        median = np.median(result.evaluations)
        text += (
            f"; {sum(result.converged)} of {slices} converged, {median:g} evaluations at the median"
        )
        text += f", largest residual {worst:.1e}"
    return text
