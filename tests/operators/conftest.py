"""Every kind of operator, odd and even sizes, batches 1 to 5, and what each is by definition: a
matrix.

The matrices come from the formula M F C, or from the exponentials of every sample and pixel; they
share no code with `deqlab`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from deqlab.operators import (
    CartesianOperator,
    ExactOffResonance,
    LinearOperator,
    NDFTOperator,
    NUFFTOperator,
    OffResonance,
)


class Multiply(LinearOperator):
    """Pixel-wise product with `factor`, (batch | 1, y, x): the simplest operator from images to
    images.
    """

    def __init__(self, factor: Tensor):
        super().__init__()
        self.factor = factor

    def _forward(self, image: Tensor) -> Tensor:
        return image * self.factor.to(image.dtype)

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return kspace * self.factor.to(kspace.dtype).conj()


@dataclass
class Case:
    """Operator on (batch, y, x) or (batch, z, y, x), the shape of its measurements, its matrices
    (batch, coil samples, pixels).
    """

    A: LinearOperator
    image_shape: tuple[int, ...]
    kspace_shape: tuple[int, ...]
    matrix: Tensor

    def image(self, dtype: torch.dtype = torch.complex128) -> Tensor:
        return torch.randn(*self.image_shape, dtype=dtype)

    def kspace(self, dtype: torch.dtype = torch.complex128) -> Tensor:
        return torch.randn(*self.kspace_shape, dtype=dtype)

    def dense(self, matrix: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """`matrix` times every member of the batch x, in `shape`."""
        return (matrix @ x.flatten(1).unsqueeze(-1)).reshape(shape)


KINDS = (
    "one coil, lines",
    "one coil, few lines",
    "one coil, points",
    "coils, lines",
    "coils, points",
    "coils, few lines",
    "own masks",
    "own maps",
    "own both",
    "composed",
    "volume, points",
    "volume, few lines",
    "one coil, nufft",
    "coils, nufft",
    "own trajectories, nufft",
    "own weights, nufft",
    "volume, nufft",
    "coils, ndft",
    "own trajectories, ndft",
    "volume, ndft",
    "coils, lines, field",
    "own maps, nufft, field",
    "own maps, exact field",
)
OFF_GRID = ("nufft", "ndft", "field")
# Odd and even on both axes, every batch from 1 to 5 once or twice.
SIZES_AND_BATCHES = (((3, 5), 1), ((5, 7), 2), ((6, 5), 3), ((5, 4), 4), ((4, 6), 5), ((4, 6), 1))


def fourier_matrix(*shape: int) -> Tensor:
    def line(length: int) -> Tensor:
        index = torch.arange(length, dtype=torch.float64) - length // 2
        return torch.exp(-2j * torch.pi * torch.outer(index, index) / length) / math.sqrt(length)

    product = torch.ones(1, 1, dtype=torch.complex128)
    for length in shape:
        product = torch.kron(product, line(length))
    return product


def build(kind: str, size: tuple[int, int], batch: int) -> Case:
    """The case of this kind; drawn from torch's global generator."""
    if kind.endswith(OFF_GRID):
        return build_off_grid(kind, size, batch)
    rows, columns = size
    volume, coils = kind.startswith("volume"), 1 if kind.startswith("one") else 3
    shape = (3, *size) if volume else size
    points = kind.endswith("points")
    members = batch if kind in ("own masks", "own both") else 1
    mask = (
        torch.rand(members, 1, *(shape[:-1] if points else (1,) * len(shape[:-1])), columns) < 0.6
    )
    if kind.endswith("few lines"):
        mask = (torch.arange(columns) % 3 == 1).reshape((1,) * (1 + len(shape)) + (columns,))
    own_maps = kind in ("own maps", "own both")
    maps = (
        None
        if coils == 1
        else torch.randn(batch if own_maps else 1, coils, *shape, dtype=torch.complex128)
    )
    # The shapes a caller writes: (x,), (y, x) or with all axes; (coil, y, x) or with a batch axis.
    given = mask if members > 1 else mask[0, 0] if points else mask.flatten()
    A: LinearOperator = CartesianOperator(
        given, maps if maps is None or own_maps else maps[0], dimensions=len(shape)
    )

    pixels = math.prod(shape)
    sampled = mask.expand(batch, coils, *shape).reshape(batch, coils, pixels, 1)
    seen = torch.ones(1, 1, *shape, dtype=torch.complex128) if maps is None else maps
    seen = seen.expand(batch, coils, *shape).reshape(batch, coils, 1, pixels)
    matrix = (sampled * fourier_matrix(*shape) * seen).reshape(batch, coils * pixels, pixels)
    if kind == "composed":
        first, second = (torch.randn(1, rows, columns, dtype=torch.complex128) for _ in range(2))
        A = A @ (Multiply(second) @ Multiply(first))
        matrix = matrix * (first * second).reshape(1, 1, pixels)
    return Case(A, (batch, *shape), (batch, coils, *shape), matrix)


def build_off_grid(kind: str, size: tuple[int, int], batch: int) -> Case:
    """Samples anywhere, twice as many as pixels less one; or all lines of the grid, where a field
    makes of them something else.
    """
    shape = (3, *size) if kind.startswith("volume") else size
    pixels, coils = math.prod(shape), 1 if kind.startswith("one") else 3
    positions = torch.cartesian_prod(
        *(torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    ).reshape(-1, len(shape))
    on_grid = "lines" in kind
    own_trajectories, own_maps = kind.startswith("own trajectories"), kind.startswith("own maps")
    trajectory = (
        torch.rand(
            batch if own_trajectories else 1, 2 * pixels - 1, len(shape), dtype=torch.float64
        )
        - 0.5
    )
    trajectory[0, 0] = 0.5
    if on_grid:
        trajectory = (positions / torch.tensor(shape)).unsqueeze(0)
    samples = trajectory.shape[1]
    maps = (
        None
        if coils == 1
        else torch.randn(batch if own_maps else 1, coils, *shape, dtype=torch.complex128)
    )
    weights = torch.rand(batch, samples, dtype=torch.float64) if "weights" in kind else None
    # A tenth of a turn at most, for which few segments are exact.
    field = (
        10 * torch.rand(batch if own_maps else 1, *shape, dtype=torch.float64) - 5
        if kind.endswith("field")
        else None
    )
    times = torch.rand(samples, dtype=torch.float64) * 0.01 - 0.002
    if on_grid:
        rows = torch.rand(shape[0], dtype=torch.float64) * 0.01
        times = rows.repeat_interleave(shape[1])

    phases = trajectory @ positions.T
    if field is not None:
        phases = phases + times[:, None] * field.reshape(-1, 1, pixels)
    matrix = torch.exp(-2j * torch.pi * phases)[:, None] / math.sqrt(pixels)
    if weights is not None:
        matrix = matrix * weights.sqrt()[:, None, :, None]
    if maps is not None:
        matrix = matrix * maps.reshape(-1, coils, 1, pixels)
    matrix = matrix.expand(batch, coils, samples, pixels).reshape(batch, coils * samples, pixels)

    given = trajectory if own_trajectories else trajectory[0], shape
    maps = maps if maps is None or own_maps else maps[0]
    kspace_shape = (batch, coils, *shape) if on_grid else (batch, coils, samples)
    if on_grid:
        fourier: LinearOperator = CartesianOperator(torch.ones(shape[1], dtype=torch.bool), maps)
        A: LinearOperator = OffResonance(fourier, field[0], rows, segments=9)
    elif kind.endswith("exact field"):
        A = ExactOffResonance(*given, field, times, maps)
    elif kind.endswith("ndft"):
        A = NDFTOperator(*given, maps)
    else:
        A = NUFFTOperator(*given, maps, tolerance=1e-13, weights=weights)
        A = A if field is None else OffResonance(A, field, times, segments=9)
    return Case(A, (batch, *shape), kspace_shape, matrix)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(
    # Off the grid every product costs more; three pairs hold odd and even, a batch of one and
    # larger ones.
    params=[
        (kind, *pair)
        for kind in KINDS
        for pair in SIZES_AND_BATCHES[
            :: 2 if kind.endswith(OFF_GRID) or kind.startswith("volume") else 1
        ]
    ],
    ids=lambda p: f"{p[0]}, {p[1][0]}x{p[1][1]}, batch {p[2]}".replace(", ", "-").replace(" ", "_"),
)
def case(request: pytest.FixtureRequest, _seed: None) -> Case:
    """One case after the other."""
    return build(*request.param)


# What these would add to laws that take thousands of products is asked of their quicker relatives.
SLOW = ("volume, ndft", "own trajectories, ndft", "own maps, nufft, field")


@pytest.fixture(
    params=[kind for kind in KINDS if kind not in SLOW],
    ids=lambda kind: kind.replace(", ", "-").replace(" ", "_"),
)
def small_case(request: pytest.FixtureRequest, _seed: None) -> Case:
    """One small case of every kind, for laws that cost more."""
    return build(request.param, (2, 3), 2)


@pytest.fixture
def make_case() -> Callable[[str, tuple[int, int], int], Case]:
    return build
