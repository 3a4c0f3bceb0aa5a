"""Receive-coil sensitivities simulated from a ring of loops."""

import numpy as np
import torch
from scipy.special import ellipe, ellipk
from torch import Tensor

from deqlab.core.errors import InputError


def simulate_coil_maps(coils: int, shape: tuple[int, int], seed: int) -> Tensor:
    """Smooth sensitivities of a ring of loop coils, complex64 (coil, y, x), sum over coils |c|^2 =
    1.

    The ring surrounds a head that fills the shorter side of `shape`, so a field of view that
    readout oversampling has doubled needs no other argument. Rotation, radius, loop size, and each
    coil's phase are drawn from `seed`. One coil gives ones.
    Source: field of a circular current loop in complete elliptic integrals (Smythe, Static and
    Dynamic Electricity, section 7.10), received as Bx - i By by the principle of reciprocity
    (Hoult, Concepts Magn Reson 12:173, 2000).
    """
    rows, columns = shape
    if coils < 1 or min(rows, columns) < 1:
        raise InputError(
            f"coil maps: {coils} coils of shape {shape} given, 1 or more of each needed"
        )
    if coils == 1:
        return torch.ones(1, rows, columns, dtype=torch.complex64)
    random = np.random.default_rng([seed, 0xC011])
    half = min(rows, columns) / 2
    y = ((np.arange(rows) - rows // 2) / half)[:, None]
    x = ((np.arange(columns) - columns // 2) / half)[None, :]
    turn = random.uniform(0, 2 * np.pi)
    maps = np.empty((coils, rows, columns), dtype=np.complex128)
    for coil in range(coils):
        angle = turn + 2 * np.pi * (coil + random.uniform(-0.1, 0.1)) / coils
        distance = random.uniform(1.15, 1.35)
        # Neighbours on the ring overlap a little, as in a real array, where that cancels mutual
        # inductance.
        radius = min(0.75, 1.2 * np.pi / coils) * random.uniform(0.9, 1.1)
        cosine, sine = np.cos(angle), np.sin(angle)
        along = distance - (x * cosine + y * sine)
        across = y * cosine - x * sine
        axial, radial = _loop_field(radius, along, across)
        # Back from the loop's axes (inwards, sideways) to x and y.
        field = (-axial * cosine - radial * sine) - 1j * (-axial * sine + radial * cosine)
        maps[coil] = field * np.exp(1j * random.uniform(0, 2 * np.pi))
    maps /= np.sqrt((np.abs(maps) ** 2).sum(axis=0, keepdims=True))
    return torch.from_numpy(maps.astype(np.complex64))


def _loop_field(radius: float, z: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Field along the axis of a loop and perpendicular to it, up to a constant, at height z and
    signed distance across."""
    # The radial part is a difference that cancels on the axis; 1e-3 keeps its digits and moves the
    # field by as little.
    distance = np.maximum(np.abs(across), 1e-3)
    far = (radius + distance) ** 2 + z**2
    # The wire itself is a singularity: a thickness of 2 % of the field of view keeps the field
    # finite there.
    near = np.maximum((radius - distance) ** 2 + z**2, 4e-4)
    parameter = np.minimum(4 * radius * distance / far, 1 - 1e-6)
    first, second = ellipk(parameter), ellipe(parameter)
    axial = (first + (radius**2 - distance**2 - z**2) / near * second) / np.sqrt(far)
    radial = (
        z / distance * (-first + (radius**2 + distance**2 + z**2) / near * second) / np.sqrt(far)
    )
    return axial, np.sign(across) * radial
