"""What a sampling pattern makes of a single pixel, or of a single wavelet: point spread functions
and coherence.

Undersampling is a convolution of the image with the transform of the mask. Reconstruction by
sparsity needs what spreads to be low everywhere, in the transform in which the image is sparse: the
interference then looks like noise, and a threshold removes it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.transforms.fourier import fft2c, ifft2c, ifftc

Transform = Callable[[Tensor], Tensor]


def point_spread(mask: Tensor) -> Tensor:
    """The zero-filled image of one bright pixel in the middle, scaled to 1 there: complex128, of
    the mask's shape.

    mask: bool (x,) for whole lines, or (y, x). The image of any object is the object convolved
    (cyclically) with this, times the share of samples that are measured. InputError for a mask
    without a sample.
    """
    mask = _checked(mask)
    return ifftc(mask.to(torch.complex128), tuple(range(-mask.ndim, 0))) * (
        mask.numel() ** 0.5 / int(mask.sum())
    )


def coherence(mask: Tensor, beyond: float = 0.0) -> float:
    """The largest side peak of `point_spread`: its greatest magnitude farther than `beyond` pixels
    from the middle, between 0 and 1.

    A fully sampled centre widens the main peak, so that its neighbours are high without harm; with
    `beyond` they are left out. For beyond = 0 this is the coherence of Lustig, Donoho and Pauly,
    Magn Reson Med 58:1182 (2007), for images sparse in their pixels.
    """
    spread = point_spread(mask).abs()
    distance = torch.zeros((), dtype=torch.float64)
    for axis, length in enumerate(spread.shape):
        steps = (
            torch.arange(length, dtype=torch.float64, device=spread.device) - length // 2
        ).square()
        distance = distance.to(steps) + steps.reshape(-1, *(1,) * (spread.ndim - 1 - axis))
    outside = distance.sqrt() > max(beyond, 0.0)
    if not outside.any():
        raise InputError(
            f"beyond: {beyond} pixels given, which leaves nothing of a point spread function of"
            f" {tuple(spread.shape)}"
        )
    return float(spread[outside].max())


def transform_point_spread(
    mask: Tensor, atoms: Tensor, shape: tuple[int, int], synthesis: Transform, analysis: Transform
) -> Tensor:
    """How one coefficient leaks into all others, TPSF(i; j) = <e_j, W F^H M F W^H e_i>, over its
    own value: complex128 (n, y, x).

    mask: bool (x,) or (y, x). atoms: long (n, 2), the coefficient i of each of n answers as (row,
        column) among coefficients of `shape`.
    synthesis: W^H, from coefficients (n, y, x) to images; analysis: W, back. W is orthonormal, for
    example a wavelet transform; the identity gives `point_spread`, moved to i. InputError where no
    sample sees an atom.
    Source: Lustig, Donoho and Pauly, Sparse MRI, Magn Reson Med 58:1182 (2007), equation 5.
    """
    mask = _checked(mask)
    if atoms.ndim != 2 or atoms.shape[1] != 2:
        raise InputError(f"atoms: shape {tuple(atoms.shape)} given, (n, 2) needed")
    if not ((atoms >= 0) & (atoms < torch.tensor(shape, device=atoms.device))).all():
        low, high = (tuple(bound.tolist()) for bound in (atoms.amin(0), atoms.amax(0)))
        raise InputError(
            f"atoms: indices from {low} to {high} given, 0 or more and below {shape} needed"
        )
    number = torch.arange(len(atoms), device=atoms.device)
    unit = torch.zeros(len(atoms), *shape, dtype=torch.complex128, device=mask.device)
    unit[number, atoms[:, 0], atoms[:, 1]] = 1
    spread = analysis(ifft2c(mask * fft2c(synthesis(unit))))
    own = spread[number, atoms[:, 0], atoms[:, 1]].real
    if bool((own < 1e-12).any()):
        unseen = tuple(atoms[int(own.argmin())].tolist())
        raise InputError(f"atoms: no sample of the mask sees coefficient {unseen}")
    return spread / own[:, None, None]


def transform_coherence(
    mask: Tensor, atoms: Tensor, shape: tuple[int, int], synthesis: Transform, analysis: Transform
) -> Tensor:
    """The largest leak of each atom into any other coefficient, as a share of its own value:
    float64 (n,).

    Arguments as for `transform_point_spread`. The coherence of the pattern is the maximum over all
    atoms; over some of them, as there are as many as pixels, it is a lower bound.
    """
    spread = transform_point_spread(mask, atoms, shape, synthesis, analysis).abs()
    spread[torch.arange(len(atoms), device=atoms.device), atoms[:, 0], atoms[:, 1]] = 0
    return spread.flatten(1).amax(1)


def _checked(mask: Tensor) -> Tensor:
    if mask.ndim not in (1, 2):
        raise InputError(f"mask: shape {tuple(mask.shape)} given, (x,) or (y, x) needed")
    mask = mask.bool()
    if not mask.any():
        raise InputError("mask: no sample is measured")
    return mask
