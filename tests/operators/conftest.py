"""Every kind of operator, odd and even sizes, batches 1 to 5, and what each is by definition: a
matrix.

The matrices come from the formula M F C, or from the exponentials of every sample and pixel; they
share no code with `deqlab`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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

    @property
    def members(self) -> int:
        return len(self.factor)

    def select(self, index: Tensor) -> Multiply:
        return Multiply(self.factor if len(self.factor) == 1 else self.factor[index])

    def _stacked(self, operators: Sequence[Multiply]) -> Multiply:
        return Multiply(torch.cat([A.factor for A in operators]))


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


def fourier_matrix(*shape: int) -> Tensor:
    def line(length: int) -> Tensor:
        index = torch.arange(length, dtype=torch.float64) - length // 2
        return torch.exp(-2j * torch.pi * torch.outer(index, index) / length) / math.sqrt(length)

    product = torch.ones(1, 1, dtype=torch.complex128)
    for length in shape:
        product = torch.kron(product, line(length))
    return product


def random_lines(columns: int) -> Tensor:
    return torch.rand(columns) < 0.6


def few_lines(columns: int) -> Tensor:
    return torch.arange(columns) % 3 == 1


@dataclass(frozen=True)
class Kind:
    """One kind of operator, whatever its size and batch. slow: what it adds to laws that take
    thousands of products is asked of its quicker relatives.
    """

    name: str
    coils: int = 3
    volume: bool = False
    own_maps: bool = False
    slow: bool = False

    @property
    def thinned(self) -> bool:
        """Whether every product costs so much that three pairs of size and batch must do."""
        return self.volume

    def build(self, size: tuple[int, int], batch: int) -> Case:
        """The case of this kind; drawn from torch's global generator."""
        raise NotImplementedError

    def shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        return (3, *size) if self.volume else size

    def maps(self, shape: tuple[int, ...], batch: int) -> Tensor | None:
        """(batch | 1, coil, *shape), or None for one coil."""
        if self.coils == 1:
            return None
        members = batch if self.own_maps else 1
        return torch.randn(members, self.coils, *shape, dtype=torch.complex128)

    def given(self, maps: Tensor | None) -> Tensor | None:
        """As a caller writes them: (coil, *shape), or with a batch axis."""
        return maps if maps is None or self.own_maps else maps[0]


@dataclass(frozen=True)
class OnGrid(Kind):
    """A = M F C. lines: of the columns, the pattern of whole lines; None for points."""

    lines: Callable[[int], Tensor] | None = random_lines
    own_masks: bool = False
    composed: bool = False

    def build(self, size: tuple[int, int], batch: int) -> Case:
        shape = self.shape(size)
        pixels, coils = math.prod(shape), self.coils
        mask = self._mask(shape, batch)
        maps = self.maps(shape, batch)
        # The shapes a caller writes: (x,), (y, x) or with all axes.
        given = mask if self.own_masks else mask[0, 0] if self.lines is None else mask.flatten()
        A: LinearOperator = CartesianOperator(given, self.given(maps), dimensions=len(shape))
        sampled = mask.expand(batch, coils, *shape).reshape(batch, coils, pixels, 1)
        seen = torch.ones(1, 1, *shape, dtype=torch.complex128) if maps is None else maps
        seen = seen.expand(batch, coils, *shape).reshape(batch, coils, 1, pixels)
        matrix = (sampled * fourier_matrix(*shape) * seen).reshape(batch, coils * pixels, pixels)
        if self.composed:
            # One factor for all members, one for each.
            first = torch.randn(batch, *shape, dtype=torch.complex128)
            second = torch.randn(1, *shape, dtype=torch.complex128)
            A = A @ (Multiply(second) @ Multiply(first))
            matrix = matrix * (first * second).reshape(batch, 1, pixels)
        return Case(A, (batch, *shape), (batch, coils, *shape), matrix)

    def _mask(self, shape: tuple[int, ...], batch: int) -> Tensor:
        members = batch if self.own_masks else 1
        if self.lines is None:
            return torch.rand(members, 1, *shape) < 0.6
        drawn = torch.stack([self.lines(shape[-1]) for _ in range(members)])
        return drawn.reshape(members, 1, *(1,) * (len(shape) - 1), shape[-1])


def nufft(trajectory: Tensor, shape, maps, weights, field, times) -> LinearOperator:
    return NUFFTOperator(trajectory, shape, maps, tolerance=1e-13, weights=weights)


def ndft(trajectory: Tensor, shape, maps, weights, field, times) -> LinearOperator:
    return NDFTOperator(trajectory, shape, maps, weights)


def segmented_nufft(trajectory: Tensor, shape, maps, weights, field, times) -> LinearOperator:
    A = nufft(trajectory, shape, maps, weights, field, times)
    return OffResonance(A, field, times, segments=9)


def exact_field(trajectory: Tensor, shape, maps, weights, field, times) -> LinearOperator:
    return ExactOffResonance(trajectory, shape, field, times, maps, weights)


@dataclass(frozen=True)
class OffGrid(Kind):
    """Samples anywhere, twice as many as pixels less one. make: (trajectory, shape, maps, weights,
    field, times) to the operator; it heeds the field where `field` says so.
    """

    make: Callable[..., LinearOperator] = nufft
    own_trajectories: bool = False
    own_weights: bool = False
    field: bool = False

    @property
    def thinned(self) -> bool:
        return True

    def build(self, size: tuple[int, int], batch: int) -> Case:
        shape = self.shape(size)
        pixels = math.prod(shape)
        samples, members = 2 * pixels - 1, batch if self.own_trajectories else 1
        trajectory = torch.rand(members, samples, len(shape), dtype=torch.float64) - 0.5
        trajectory[0, 0] = 0.5
        maps = self.maps(shape, batch)
        weights = torch.rand(batch, samples, dtype=torch.float64) if self.own_weights else None
        field, times = self._field(shape, batch), small_times(samples)
        matrix = exponentials(trajectory, shape, field, times, maps, weights, batch)
        given = trajectory if self.own_trajectories else trajectory[0]
        A = self.make(given, shape, self.given(maps), weights, field, times)
        return Case(A, (batch, *shape), (batch, self.coils, samples), matrix)

    def _field(self, shape: tuple[int, ...], batch: int) -> Tensor | None:
        return small_field(batch if self.own_maps else 1, *shape) if self.field else None


@dataclass(frozen=True)
class LinesInAField(Kind):
    """All lines of the grid, of which a field makes something else."""

    @property
    def thinned(self) -> bool:
        return True

    def build(self, size: tuple[int, int], batch: int) -> Case:
        shape = self.shape(size)
        positions = pixel_positions(shape)
        trajectory = (positions / torch.tensor(shape)).unsqueeze(0)
        maps = self.maps(shape, batch)
        field = small_field(batch if self.own_maps else 1, *shape)
        rows = small_times(shape[-2])
        times = rows[:, None].expand(*shape).flatten()
        matrix = exponentials(trajectory, shape, field, times, maps, None, batch)
        every = torch.ones(shape[-1], dtype=torch.bool)
        fourier = CartesianOperator(every, self.given(maps), dimensions=len(shape))
        A = OffResonance(fourier, field, rows, segments=9)
        return Case(A, (batch, *shape), (batch, self.coils, *shape), matrix)


def pixel_positions(shape: tuple[int, ...]) -> Tensor:
    axes = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    return torch.cartesian_prod(*axes).reshape(-1, len(shape))


def small_field(*shape: int) -> Tensor:
    """Hz; with `small_times` a tenth of a turn at most, for which few segments are exact."""
    return 10 * torch.rand(*shape, dtype=torch.float64) - 5


def small_times(samples: int) -> Tensor:
    return torch.rand(samples, dtype=torch.float64) * 0.01 - 0.002


def exponentials(
    trajectory: Tensor,
    shape: tuple[int, ...],
    field: Tensor | None,
    times: Tensor,
    maps: Tensor | None,
    weights: Tensor | None,
    batch: int,
) -> Tensor:
    """The matrix by its definition, (batch, coil samples, pixels)."""
    pixels, samples = math.prod(shape), trajectory.shape[1]
    coils = 1 if maps is None else maps.shape[1]
    phases = trajectory @ pixel_positions(shape).T
    if field is not None:
        phases = phases + times[:, None] * field.reshape(-1, 1, pixels)
    matrix = torch.exp(-2j * torch.pi * phases)[:, None] / math.sqrt(pixels)
    if weights is not None:
        matrix = matrix * weights.sqrt()[:, None, :, None]
    if maps is not None:
        matrix = matrix * maps.reshape(-1, coils, 1, pixels)
    return matrix.expand(batch, coils, samples, pixels).reshape(batch, coils * samples, pixels)


KINDS = {
    kind.name: kind
    for kind in (
        OnGrid("one coil, lines", coils=1),
        OnGrid("one coil, few lines", coils=1, lines=few_lines),
        OnGrid("one coil, points", coils=1, lines=None),
        OnGrid("coils, lines"),
        OnGrid("coils, points", lines=None),
        OnGrid("coils, few lines", lines=few_lines),
        OnGrid("own masks", own_masks=True),
        OnGrid("own maps", own_maps=True),
        OnGrid("own both", own_masks=True, own_maps=True),
        OnGrid("composed", composed=True),
        OnGrid("volume, points", volume=True, lines=None),
        OnGrid("volume, few lines", volume=True, lines=few_lines),
        OffGrid("one coil, nufft", coils=1),
        OffGrid("coils, nufft"),
        OffGrid("own trajectories, nufft", own_trajectories=True),
        OffGrid("own weights, nufft", own_weights=True),
        OffGrid("volume, nufft", volume=True),
        OffGrid("coils, ndft", make=ndft),
        OffGrid("own trajectories, ndft", make=ndft, own_trajectories=True, slow=True),
        OffGrid("volume, ndft", make=ndft, volume=True, slow=True),
        LinesInAField("coils, lines, field"),
        LinesInAField(
            "volume, own maps, lines, field", coils=2, volume=True, own_maps=True, slow=True
        ),
        OffGrid(
            "own maps, nufft, field", make=segmented_nufft, own_maps=True, field=True, slow=True
        ),
        OffGrid("own maps, exact field", make=exact_field, own_maps=True, field=True),
    )
}
# Odd and even on both axes, every batch from 1 to 5 once or twice.
SIZES_AND_BATCHES = (((3, 5), 1), ((5, 7), 2), ((6, 5), 3), ((5, 4), 4), ((4, 6), 5), ((4, 6), 1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _name(kind: Kind) -> str:
    return kind.name.replace(", ", "-").replace(" ", "_")


@pytest.fixture(
    # Three pairs hold odd and even, a batch of one and larger ones.
    params=[
        (kind, *pair)
        for kind in KINDS.values()
        for pair in SIZES_AND_BATCHES[:: 2 if kind.thinned else 1]
    ],
    ids=lambda p: f"{_name(p[0])}-{p[1][0]}x{p[1][1]}-batch_{p[2]}",
)
def case(request: pytest.FixtureRequest, _seed: None) -> Case:
    """One case after the other."""
    kind, size, batch = request.param
    return kind.build(size, batch)


@pytest.fixture(params=[kind for kind in KINDS.values() if not kind.slow], ids=_name)
def small_case(request: pytest.FixtureRequest, _seed: None) -> Case:
    """One small case of every kind, for laws that cost more."""
    return request.param.build((2, 3), 2)


@pytest.fixture(params=KINDS.values(), ids=_name)
def batch_case(request: pytest.FixtureRequest, _seed: None) -> Case:
    """Three members of every kind, for laws of batches."""
    return request.param.build((4, 5), 3)


@pytest.fixture
def make_case() -> Callable[[str, tuple[int, int], int], Case]:
    return lambda name, size, batch: KINDS[name].build(size, batch)
