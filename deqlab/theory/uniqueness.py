"""Is the fixed point the only one? Solve from many starts and see how far apart the answers are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators import LinearOperator
from deqlab.recon.fixed_point import FixedPointMethod

NOISE_SCALES = (0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Spread:
    """Where the solves from several starts ended.

    names: of the starts, in order. images: the answers, complex (start, batch, y, x). converged:
        bool (start, batch).
    distance: between every two answers, relative to the longest one, real (start, start, batch);
        NaN where one did not converge.
    """

    names: list[str]
    images: Tensor
    converged: Tensor
    distance: Tensor

    @property
    def spread(self) -> Tensor:
        """The largest distance per sample, real (batch,); NaN where fewer than two starts
        converged.

        Two answers at tolerance t of a map with Lipschitz constant g < 1 are at most 2 t / (1 - g)
        apart. A spread far above the tolerance is a second fixed point or a direction in which the
        map barely contracts; a small one proves nothing but these starts.
        """
        pairs = self.distance.nan_to_num(nan=-1.0).flatten(0, 1).amax(0)
        enough = self.converged.sum(0).to(pairs.device) >= 2
        return torch.where(enough, pairs, torch.full_like(pairs, torch.nan))


def default_starts(kspace: Tensor, A: LinearOperator, seed: int = 0) -> dict[str, Tensor]:
    """Starts by name, complex (batch, y, x): zero-filled, zeros, noise of several scales, and other
    images.

    Noise is complex white, `scale` times as long as the zero-filled image. Other images: that of
    the next sample in the batch (where there is one) and the sample's own upside down, both
    zero-filled.
    """
    zero_filled = A.H(kspace)
    length = torch.linalg.vector_norm(zero_filled, dim=(-2, -1), keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    starts = {"zero-filled": zero_filled, "zeros": torch.zeros_like(zero_filled)}
    for scale in NOISE_SCALES:
        noise = torch.randn(zero_filled.shape, generator=generator, dtype=zero_filled.dtype).to(
            zero_filled.device
        )
        starts[f"noise x{scale:g}"] = noise * (
            scale * length / torch.linalg.vector_norm(noise, dim=(-2, -1), keepdim=True)
        )
    if len(zero_filled) > 1:
        starts["next sample"] = zero_filled.roll(1, 0)
    starts["upside down"] = zero_filled.flip(-2)
    return starts


@torch.no_grad()
def fixed_point_spread(
    model: FixedPointMethod[Any],
    kspace: Tensor,
    A: LinearOperator,
    starts: Mapping[str, Tensor] | None = None,
    tolerance: float = 1e-4,
    max_evaluations: int = 200,
) -> Spread:
    """The Spread of the model's fixed points for one batch of measurements.

    model: with `solve(kspace, A, tolerance, max_evaluations, x0)`, as every equilibrium model.
    starts: images by name, `default_starts` where None; InputError for fewer than two.
    """
    starts = default_starts(kspace, A) if starts is None else starts
    if len(starts) < 2:
        raise InputError(f"starts: {len(starts)} given, at least 2 needed to compare")
    solutions = [
        model.solve(kspace, A, tolerance, max_evaluations, start) for start in starts.values()
    ]
    images = torch.stack([solution.value for solution in solutions])
    converged = torch.stack([solution.converged for solution in solutions])
    flat = torch.where(converged.to(images.device)[..., None], images.flatten(2), torch.nan)
    length = torch.linalg.vector_norm(flat, dim=-1).nan_to_num(nan=0.0).amax(0)
    gaps = torch.linalg.vector_norm(flat[:, None] - flat[None], dim=-1)
    return Spread(
        list(starts), images, converged, gaps / length.clamp_min(torch.finfo(length.dtype).tiny)
    )
