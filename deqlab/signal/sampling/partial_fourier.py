"""Partial Fourier: one side of k-space is measured, and the other is filled in by conjugate
symmetry.

The k-space of a real image has K[-k] = conj K[k], so half of the lines would do. Images have a
phase, but a smooth one: a few lines beyond the zero frequency show it, and what is left when it is
taken away is nearly real.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.sampling.masks import calibration_lines
from deqlab.signal.transforms.fourier import fftc, ifft2c, ifftc


@dataclass(frozen=True)
class PartialFourierMask:
    """The first round(width * fraction) lines: all of the left side, and a few to the right of the
    zero frequency.

    fraction: above 0.5 and below 1; scanners offer 5/8, 6/8 and 7/8. The lone lowest frequency of
    an even matrix is on the left side, so that every line which is left out has a mirror image
    among those that are measured.
    """

    fraction: float = 0.625

    def __post_init__(self) -> None:
        if not 0.5 < self.fraction < 1:
            raise InputError(f"fraction: {self.fraction} given, above 0.5 and below 1 needed")

    def sample(self, width: int, seed: int = 0) -> Tensor:
        """The mask: bool (width,), True where a line is measured. Nothing is drawn: every `seed`
        gives the same.
        """
        lines = round(width * self.fraction)
        if not width // 2 + 2 <= lines < width:
            raise InputError(
                f"fraction: {self.fraction} of {width} lines leaves no line beyond the centre, or"
                " no gap"
            )
        return torch.arange(width) < lines


def homodyne(kspace: Tensor, mask: Tensor) -> Tensor:
    """The image whose phase is that of the lines about the centre, and whose k-space has the
    measured lines on one side.

    kspace: complex (..., y, x), zero or anything where nothing was measured; mask: bool (x,), one
    side of k-space and some lines of the other (`PartialFourierMask`), else InputError. Result:
    complex (..., y, x). Exact for real images. For others as good as their phase is
    smooth: the part of the image at right angles to that phase is taken for an error and dropped.
    Lines without a mirror image weigh 2; in between the weight falls linearly from 2 to 0, so that
    no edge rings.
    Source: Noll, Nishimura and Macovski, Homodyne detection in magnetic resonance imaging, IEEE
        Trans Med Imaging 10:154 (1991).
    """
    reach, offset = _sides(mask)
    offset = offset.to(kspace.device, kspace.real.dtype)
    weight = torch.where(mask.to(kspace.device), (1 - offset / (reach + 1)).clamp(0, 2), 0)
    if len(mask) % 2 == 0:
        weight[0] = weight[0].clamp(
            max=1
        )  # the lowest frequency of an even matrix is its own mirror image
    phase = central_phase(kspace, mask)
    return _along(ifft2c(kspace * weight), phase)


def pocs(kspace: Tensor, mask: Tensor, iterations: int = 30) -> Tensor:
    """The image that has both the measured lines and, as nearly as they allow, the phase of the
    lines about the centre.

    Arguments and result as for `homodyne`. It projects in turn on the images of that phase and on
    the images with the measured lines (projection onto convex sets), and ends with the measured
    lines: unlike homodyne it never contradicts them. An error of the lines that were not measured
        is halved at every iteration for a real image.
    Source: Haacke, Lindskog and Lin, A fast, iterative, partial-Fourier technique capable of local
    phase recovery, J Magn Reson 92:126 (1991). There the magnitude takes the new phase; here the
    part along that phase is kept, which is linear and lets real images be negative.
    """
    if iterations < 1:
        raise InputError(f"iterations: {iterations} given, 1 or more needed")
    phase = central_phase(kspace, mask)
    mask = mask.to(kspace.device)
    # Only the phase encode is transformed: whole lines are measured, so the readout can stay in
    # image space.
    measured = ifftc(kspace, -2) * mask
    image = ifftc(measured, -1)
    for _ in range(iterations):
        image = ifftc(torch.where(mask, measured, fftc(_along(image, phase), -1)), -1)
    return image


def central_phase(kspace: Tensor, mask: Tensor) -> Tensor:
    """The phase factor, |phase| = 1, of the image of the lines about the centre that are measured
    on both sides: complex (..., y, x).

    They are weighted by a cosine lobe along the phase encode, as a sharp edge would ring. 1 where
    there is no signal at all.
    """
    reach, offset = _sides(mask)
    offset = offset.to(kspace.device, kspace.real.dtype)
    lobe = torch.where(offset.abs() <= reach, torch.cos(torch.pi / 2 * offset / (reach + 1)), 0)
    low = ifft2c(kspace * lobe)
    return torch.where(low == 0, 1, torch.sgn(low))


def _along(image: Tensor, phase: Tensor) -> Tensor:
    """The part of `image` that is a real multiple of `phase`."""
    return (image * phase.conj()).real * phase


def _sides(mask: Tensor) -> tuple[int, Tensor]:
    """How many lines beyond the zero frequency have their mirror image measured, and the lines'
    offsets, negative on the full side.
    """
    if mask.ndim != 1:
        raise InputError(f"mask: shape {tuple(mask.shape)} given, (columns,) needed")
    width = len(mask)
    lines = calibration_lines(mask)
    offset = torch.arange(width) - width // 2
    left, right = width // 2 - lines.start, lines.stop - 1 - width // 2
    if (
        int(mask.sum()) != lines.stop - lines.start
        or left == right
        or min(left, right) < 1
        or bool(mask.all())
    ):
        raise InputError(
            "mask: one side of k-space and at least one line of the other needed, without gaps;"
            f" {left} and {right} neighbouring lines beside the zero frequency and"
            f" {int(mask.sum())} in all are measured"
        )
    return min(left, right), offset if left > right else -offset
