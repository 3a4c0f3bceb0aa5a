"""A loss as a surface over what can go wrong: the magnitude and the phase."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deqlab.losses.protocol import Loss

RATIOS = np.linspace(0, 2, 41)
PHASES = np.linspace(-math.pi, math.pi, 73)
AT_ONCE = 512


@dataclass(frozen=True)
class LossSurface:
    """Three arrays of one shape (ratios, phases), as plotting wants them.

    ratio: of the image's magnitude to the reference's. phase: the error in radians.
    """

    ratio: np.ndarray
    phase: np.ndarray
    loss: np.ndarray


def loss_surface(
    loss: Loss,
    ratios: Sequence[float] | np.ndarray = RATIOS,
    phases: Sequence[float] | np.ndarray = PHASES,
    reference: Tensor | None = None,
) -> LossSurface:
    """The loss of ratio exp(i phase) times the reference, for every ratio and phase, in float64.

    reference: complex (batch, y, x); a flat one of 1 where None. A loss that looks at structure, as
    `ssim` does, has another surface for every reference.
    """
    truth = torch.ones(1, 8, 8) if reference is None else reference
    truth = truth.to(torch.complex128)
    grid = np.meshgrid(np.asarray(ratios, float), np.asarray(phases, float), indexing="ij")
    ratio, phase = (torch.from_numpy(values).flatten() for values in grid)
    wrong = torch.polar(ratio, torch.zeros_like(phase)) * torch.exp(1j * phase)
    each = torch.func.vmap(lambda factor: loss(factor * truth, truth), chunk_size=AT_ONCE)
    values = each(wrong).reshape(grid[0].shape).numpy()
    return LossSurface(grid[0], grid[1], values)
