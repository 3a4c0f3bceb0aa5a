"""The starlet: an image as details of several sizes and what is left, which add up to it.

J.-L. Starck, J. Fadili and F. Murtagh, The undecimated wavelet decomposition and its
reconstruction, IEEE TIP 16 (2007): "a trous", c_0 = x, c_(s+1) = h_s c_s with the low-pass h
dilated by 2^s, d_s = c_s - c_(s+1). Isotropic, undecimated, and x = sum_s d_s + c_S whatever h is.
Borders are mirrors.
"""

from itertools import accumulate

import torch
from torch import Tensor

from deqlab.core.errors import InputError

# Taps of the B3 spline: in the middle, beside it, and beside that.
SPLINE = (6 / 16, 4 / 16, 1 / 16)
REACH = len(SPLINE) - 1


def spline(scales: int) -> Tensor:
    """The low-pass filters of the starlet: the B3 spline for each of so many scales, (scale, 3)."""
    return torch.tensor([SPLINE] * scales)


def starlet(image: Tensor, low_pass: Tensor) -> tuple[Tensor, Tensor]:
    """(details (..., scale, y, x), finest first; what is left (..., y, x)), real or complex as the
    image (..., y, x) is; together they add up to it.

    low_pass: real (scale, 3), of each scale's symmetric filter of five taps, the same along both
    axes, the middle tap, that beside it and the outermost; `spline` for the starlet. Taps may be
    learned. InputError for another shape.
    """
    if low_pass.ndim != 2 or low_pass.shape[-1] != REACH + 1:
        raise InputError(f"low_pass: {tuple(low_pass.shape)} given, (scale, {REACH + 1}) needed")
    details, coarse = [], image
    for scale, taps in enumerate(low_pass):
        smooth = _smoothed(_smoothed(coarse, taps, 2**scale).mT, taps, 2**scale).mT
        details.append(coarse - smooth)
        coarse = smooth
    return torch.stack(details, -3), coarse


def detail_correlation(low_pass: Tensor, reach: int) -> Tensor:
    """What white noise of standard deviation 1 becomes in the details: the covariance of d_s(p) and
    d_s(p + u), real (scale, 2 reach + 1, 2 reach + 1) over u of at most `reach` pixels along either
    axis.

    It holds where the borders are out of the filters' sight.
    """
    scales = len(low_pass)
    # Long enough that the filters, and then their correlation, do not meet themselves.
    length = 2 * REACH * (2**scales - 1) + 1 + reach
    frequency = torch.arange(length, device=low_pass.device, dtype=low_pass.dtype) / length
    steps = 2 ** torch.arange(scales, device=low_pass.device)
    taps = torch.arange(1, REACH + 1, device=low_pass.device)
    waves = torch.cos(2 * torch.pi * frequency * steps[:, None, None] * taps[:, None])
    axis = low_pass[:, :1] + 2 * (low_pass[:, 1:, None] * waves).sum(1)
    filters = axis[:, :, None] * axis[:, None, :]
    # No `cumprod`: its gradient has to look for zeros.
    smooth = torch.stack([*accumulate(filters, torch.mul, initial=torch.ones_like(filters[0]))])
    details = smooth[:-1] - smooth[1:]
    correlation = torch.fft.ifft2(details.square()).real
    lags = torch.arange(-reach, reach + 1, device=low_pass.device) % length
    return correlation[:, lags[:, None], lags]


def _smoothed(lines: Tensor, taps: Tensor, step: int) -> Tensor:
    """(..., n), averaged along the last axis by a filter whose taps are `step` samples apart."""
    length, margin = lines.shape[-1], REACH * step
    # The mirrors stand on the first and the last sample, and mirror one another.
    period = max(2 * (length - 1), 1)
    at = torch.arange(-margin, length + margin, device=lines.device) % period
    wide = lines.index_select(-1, (length - 1) - (at - (length - 1)).abs())
    total = taps[0] * lines
    for tap in range(1, REACH + 1):
        left = wide.narrow(-1, margin - tap * step, length)
        total = total + taps[tap] * (left + wide.narrow(-1, margin + tap * step, length))
    return total
