"""The parts of an operator off the grid, each in its one form, (batch | 1, ...), or refused."""

import torch
from torch import Tensor

from deqlab.core.errors import InputError

AXES = ("z", "y", "x")


def checked_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    sizes = tuple(shape)
    if len(sizes) not in (2, 3) or any(int(size) != size or size < 1 for size in sizes):
        raise InputError(
            f"shape: {sizes} given, (y, x) or (z, y, x) with 1 pixel or more along each axis needed"
        )
    return tuple(int(size) for size in sizes)


def checked_trajectory(trajectory: Tensor, shape: tuple[int, ...]) -> Tensor:
    given = tuple(trajectory.shape)
    columns = ", ".join("k" + axis for axis in AXES[-len(shape) :])
    if trajectory.ndim not in (2, 3) or given[-1] != len(shape):
        raise InputError(
            f"trajectory: shape {given} given, (samples, {len(shape)}), with or without a batch"
            f" axis, columns ({columns}), needed"
        )
    if not trajectory.is_floating_point():
        raise InputError(
            f"trajectory: {trajectory.dtype} given, real numbers in cycles per pixel needed"
        )
    if trajectory.numel() == 0:
        raise InputError(f"trajectory: shape {given} given, one sample or more needed")
    if not trajectory.is_meta:
        broken = int((~torch.isfinite(trajectory)).sum())
        if broken:
            raise InputError(
                f"trajectory: {broken} coordinates are NaN or infinite; finite cycles per pixel"
                " needed"
            )
        largest = float(trajectory.abs().max())
        # A float32 position may miss 0.5 by a rounding error.
        if largest > 0.5 + 1e-6:
            raise InputError(
                f"trajectory: reaches {largest:g}; cycles per pixel within +-0.5 needed (radians:"
                " divide by 2 pi)"
            )
    return trajectory.detach().reshape(-1, *given[-2:])


def checked_maps(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    given = tuple(maps.shape)
    if not maps.is_complex():
        raise InputError(f"coil_maps: {maps.dtype} given, complex needed")
    if (
        maps.ndim not in (len(shape) + 1, len(shape) + 2)
        or given[-len(shape) :] != shape
        or maps.numel() == 0
    ):
        raise InputError(
            f"coil_maps: shape {given} given, (coil, {', '.join(map(str, shape))}), with or without"
            " a batch axis, needed"
        )
    # Not detached: maps may be learned.
    return maps.reshape(-1, *given[-len(shape) - 1 :])


def checked_weights(weights: Tensor, samples: int) -> Tensor:
    if (
        weights.is_complex()
        or weights.ndim not in (1, 2)
        or weights.shape[-1] != samples
        or weights.numel() == 0
    ):
        raise InputError(
            f"weights: {weights.dtype} of shape {tuple(weights.shape)} given, real ({samples},) or"
            f" (batch, {samples}) needed"
        )
    if not weights.is_meta and not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise InputError("weights: some are negative, NaN or infinite; finite numbers >= 0 needed")
    return weights.detach().reshape(-1, samples)
