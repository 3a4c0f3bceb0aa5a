"""Density compensation: how much of k-space each sample of a trajectory stands for.

The adjoint of a non-Cartesian transform adds up samples, and where they are dense it counts the
same frequencies many times. With weights D that undo this, F^H D y is the image, as far as the
trajectory determines it. One unit is the share of a Cartesian sample, so a full Cartesian grid has
weights of 1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.core.errors import InputError


def pipe_menon(
    forward: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    like: Tensor,
    iterations: int = 10,
    axes: int = 2,
    start: Tensor | None = None,
) -> Tensor:
    """Weights d whose density, smoothed over one Cartesian sample, is 1 at every sample that has
    neighbours: d <- d / |F W F^H d|.

    forward, adjoint: F and F^H of a single coil, orthonormal as `fft2c` is, for an image of *twice*
    the field of view along each of its last `axes` axes (the same trajectory in cycles per pixel,
    twice the pixels). like: complex, of the shape that F^H takes, such as (1, 1, samples); its
    values are not read. start: real weights of that shape; 1 where None. Result: real, of that
    shape and precision, in units of a Cartesian sample of the single field of view. InputError for
    less than one iteration.

    W is a triangle over the doubled field of view: the autocorrelation of the single one, the
    distances at which a point spread can do harm. Its transform is a kernel that is nowhere
    negative. With W = 1, as the iteration is often written, the kernel has negative lobes and the
    iteration drifts off: after a hundred steps on plain spokes the density of single samples is
    fifty times too large.
    Source: Pipe and Menon, Sampling density compensation in MRI, Magn Reson Med 41:179 (1999); the
    kernel, Johnson and Pipe, Convolution kernel design and efficient algorithm for sampling density
    correction, Magn Reson Med 61:439 (2009).
    """
    if iterations < 1:
        raise InputError(f"iterations: {iterations} given; 1 or more needed")
    weights = torch.ones_like(like) if start is None else start.to(like)
    with torch.no_grad():
        for _ in range(iterations):
            window = _triangle(image := adjoint(weights), axes)
            density = forward(image * window).abs() / window.mean()
            weights = weights / density.clamp_min(torch.finfo(density.dtype).tiny)
    return weights.real


def ramp(trajectory: Tensor, shape: tuple[int, int]) -> Tensor:
    """Weights of full-diameter spokes in uniform directions, by the area that each sample stands
    for: proportional to |k|.

    trajectory: real (samples, 2) in cycles per pixel of an image of `shape`, spokes one after
    another. Result: real (samples,), in the units of `pipe_menon`. The samples in the centre share
    the disc about it whose radius is half a step. InputError where the points are no spokes of one
    length through the centre.
    """
    radius = torch.linalg.vector_norm(trajectory, dim=-1)
    central = radius < 1e-9
    spokes = int(central.sum())
    if not spokes or len(radius) % spokes or len(radius) < 2 * spokes:
        raise InputError(
            f"trajectory: {len(radius)} points, {spokes} of them in the centre of k-space; spokes"
            " of equal length needed"
        )
    step = radius[~central].min()
    area = math.pi / spokes * torch.where(central, (step / 2) ** 2, radius * step)
    return area * shape[0] * shape[1]


def _triangle(image: Tensor, axes: int) -> Tensor:
    """1 in the centre of each of the last `axes` axes, falling to 0 at half their length: real, of
    those axes.
    """
    window = torch.ones((), dtype=image.real.dtype, device=image.device)
    for length in image.shape[-axes:]:
        distance = (
            torch.arange(length, dtype=window.dtype, device=image.device) - length // 2
        ).abs()
        window = window.unsqueeze(-1) * (1 - 2 * distance / length).clamp_min(0)
    return window
