"""Receive-coil sensitivities, estimated from calibration lines.

All maps satisfy sum over coils |c|^2 = 1 at every pixel (unless a method is asked for zeros in
air). Then A^H A is the identity for full sampling, the norm of A is at most 1, and the
root-sum-of-squares of coil images c * x is |x|.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import options
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.transforms.crop import center_window
from deqlab.signal.transforms.fourier import ifft2c

__all__ = [
    "CoilMapMethod",
    "LowResolution",
    "central_rows",
    "estimate_coil_maps",
    "low_resolution_images",
    "rss",
    "simulate_coil_maps",
]

# Rows of a calibration block beside few lines: enough for a patch to be seen often, and not yet so
# far out that noise rules.
CALIBRATION_ROWS = 24


class CoilMapMethod(Protocol):
    """What estimates coil maps: LowResolution, ESPIRiT, Walsh, or anything of the kind."""

    def estimate(self, kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor: ...


def rss(coil_images: Tensor, axis: int = -3) -> Tensor:
    """Root of the sum of squared magnitudes along `axis`: complex (..., coil, y, x) to real (...,
    y, x).
    """
    # 36 times faster than vector_norm, which is slow on complex tensors along an outer axis.
    squares = (
        coil_images.real.square() + coil_images.imag.square()
        if coil_images.is_complex()
        else coil_images.square()
    )
    return squares.sum(axis).sqrt()


@options
class LowResolution:
    """Low-resolution coil images over their root-sum-of-squares: no choices, and hardly any time.

    The window is a cosine lobe along both axes, as a sharp edge would ring across the head. It
    reaches twice as far along the readout, which is fully measured; pixels are taken as square, so
    an oversampled readout gets proportionally more rows. Wider windows let more noise into the
    maps, narrower ones lose the rim of the head.
    The maps take the low-resolution phase of the object along. A coil-combined image A^H y then has
    little phase of its own, which harms nothing, as C x is what is compared with the measurement.
    The map of one coil is the low-resolution phase of its image. Where there is no signal at all
    the coils share equally.
    Source: Roemer et al., The NMR phased array, Magn Reson Med 16:192 (1990); autocalibration from
    the centre lines, McKenzie et al., Magn Reson Med 47:529 (2002).
    """

    def estimate(self, kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor:
        """The maps, complex (..., coil, y, x); see `estimate_coil_maps`."""
        low = low_resolution_images(kspace, lines, rows)
        magnitude = rss(low).unsqueeze(-3)
        empty = magnitude < 1e-12
        return torch.where(
            empty, 1 / math.sqrt(kspace.shape[-3]), low / torch.where(empty, 1, magnitude)
        )


def estimate_coil_maps(
    kspace: Tensor, lines: slice, method: CoilMapMethod = LowResolution(), rows: slice | None = None
) -> Tensor:
    """Coil maps from calibration lines by `method`: complex (..., coil, y, x), sum |c|^2 = 1 at
    every pixel, in air too.

    kspace: complex (..., coil, y, x) of which only the columns `lines` are read, as
        `calibration_lines` returns them.
    method: LowResolution(), ESPIRiT(...) or Walsh(...). rows: the fully sampled rows of those
    columns, where these are not all. Any constant factor of kspace gives the same maps. InputError
    when `lines` or `rows` miss the zero frequency, and where a method needs more of them.
    """
    for name, block, length in (
        ("lines", lines, kspace.shape[-1]),
        ("rows", rows, kspace.shape[-2]),
    ):
        if block is not None and not block.start <= length // 2 < block.stop:
            axis = "column" if name == "lines" else "row"
            raise InputError(
                f"{name}: {block.start} to {block.stop} given; {axis} {length // 2} must be among"
                " them"
            )
    return method.estimate(kspace, lines, rows)


def low_resolution_images(kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor:
    """Coil images of the tapered calibration data, complex (..., coil, y, x), of peak 1."""
    calibration = torch.zeros_like(kspace)
    calibration[..., lines] = kspace[..., lines] * calibration_window(kspace, lines, rows)[:, lines]
    low = ifft2c(calibration)
    # Scaled by the peak, so that the squares of very small or very large samples neither vanish nor
    # overflow.
    peak = low.abs().amax(dim=(-3, -2, -1), keepdim=True)
    return low / torch.where(peak > 0, peak, 1)


def calibration_window(kspace: Tensor, lines: slice, rows: slice | None = None) -> Tensor:
    """The weight of every sample in low-resolution images, zero outside `lines`: real (y, x)."""
    height, width = kspace.shape[-2:]
    reach = min(width // 2 - lines.start, lines.stop - width // 2)
    along_x = _taper(width, reach, like=kspace)
    along_y = _taper(height, 2 * reach * height / width, like=kspace)
    if rows is not None:
        along_y = along_y * _taper(
            height, min(height // 2 - rows.start, rows.stop - 1 - height // 2), like=kspace
        )
    inside = torch.zeros_like(along_x)
    inside[lines] = along_x[lines]
    return along_y[:, None] * inside


def central_rows(kspace: Tensor, lines: slice, rows: slice | None = None) -> slice:
    """Rows of the calibration block of `lines`: about the centre, as many as lines and at least 24,
    within `rows`.
    """
    height = kspace.shape[-2]
    block = center_window(height, min(height, max(lines.stop - lines.start, CALIBRATION_ROWS)))
    return (
        block if rows is None else slice(max(block.start, rows.start), min(block.stop, rows.stop))
    )


def _taper(length: int, reach: float, like: Tensor) -> Tensor:
    """Cosine lobe about the centre sample, zero beyond `reach` + 1 samples: real (length,)."""
    distance = (torch.arange(length, device=like.device, dtype=like.real.dtype) - length // 2).abs()
    return torch.where(distance < reach + 1, torch.cos(torch.pi / 2 * distance / (reach + 1)), 0)
