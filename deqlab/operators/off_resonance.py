"""Off-resonance: while k-space is read out, the phase of every pixel runs on with the local field,
y[m] = sum over n of x[n] exp(-2 pi i f[n] t[m]) exp(-2 pi i k[m] . n). Fast around any Fourier
operator by time segments, and exact by its definition.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, Self

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.checked_parts import AXES
from deqlab.operators.linear import LinearOperator
from deqlab.operators.members import of_member, selected
from deqlab.operators.ndft import BLOCK_BYTES, NDFTOperator
from deqlab.operators.noncartesian import NonCartesianOperator, apply_but_keep
from deqlab.operators.segments import Segments, time_segments


class OffResonance(LinearOperator):
    """A with exp(-2 pi i f t) in it, to an error of `tolerance` for every pixel and sample: sum
    over l of b_l(t) A exp(-2 pi i f tau_l).

    fourier: A, any operator from images to k-space, Cartesian or not. field_map: f in Hz, real (y,
        x) or (batch, y, x); (z, y, x) of a volume.
    times: t in seconds, real: (samples,) off the grid; on the grid (y,) where every line along y is
        read out alike, or (y, x). Zero is the time at which off-resonance has no effect: the echo
        of a spin echo, the excitation of a gradient echo.
    segments: how many; where None, as few as the tolerance allows; or those of another operator.
        Each costs one A: 12 for 1e-3 at +-150 Hz and 20 ms. A pixel outside of object counts like
        any other, so a field map that is wild in air should be masked there.
    """

    fourier: LinearOperator
    field_map: Tensor
    times: Tensor

    def __init__(
        self,
        fourier: LinearOperator,
        field_map: Tensor,
        times: Tensor,
        tolerance: float = 1e-3,
        segments: int | Segments | None = None,
    ):
        super().__init__()
        if not 1e-10 <= tolerance < 1:
            raise InputError(f"tolerance: {tolerance} given, an error from 1e-10 to below 1 needed")
        if isinstance(segments, int) and segments < 1:
            raise InputError(f"segments: {segments} given, 1 or more needed")
        shape = fourier.shape if isinstance(fourier, NonCartesianOperator) else None
        field_map = _checked_field(field_map, shape, fourier.dimensions)
        times = _checked_times(times, fourier, field_map.shape[1:])
        if len(field_map) > 1 and fourier.members not in (1, len(field_map)):
            raise InputError(
                f"field_map: for a batch of {len(field_map)} given, the operator is for a batch of"
                f" {fourier.members}"
            )
        if not isinstance(segments, Segments):
            segments = time_segments(
                times, float(field_map.min()), float(field_map.max()), tolerance, segments
            )
        self.fourier, self.tolerance, self.segments = fourier, tolerance, segments
        self.dimensions = fourier.dimensions
        self.register_buffer("field_map", field_map)
        self.register_buffer("times", times)
        self._kept: dict[tuple[torch.dtype, torch.device], tuple[tuple[Tensor, Tensor], ...]] = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        apply_but_keep(
            ("field_map", "times"),
            self,
            lambda: super(OffResonance, self)._apply(fn, *args, **kwargs),
        )
        self._kept = {}
        return self

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_kept": {}}

    @property
    def coils(self) -> int:
        """Number of receive coils."""
        return self.fourier.coils

    @property
    def gain(self) -> Tensor | None:
        """That of the operator inside."""
        return self.fourier.gain

    def _factors(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """exp(-2 pi i f tau_l), (L, batch | 1, *shape); its conjugate; b_l, (L, *times); its
        conjugate.
        """
        if not like.is_complex():
            raise InputError(f"the operator takes complex tensors, {like.dtype} given")
        if len(self.field_map) not in (1, len(like)):
            raise InputError(
                f"a batch of {len(like)} given, the field map is for a batch of"
                f" {len(self.field_map)}"
            )
        key = like.dtype, like.device
        if key not in self._kept:
            # Turns are reduced in double precision; in single, 150 Hz and 20 ms would cost digits.
            turns = torch.stack(
                [node * self.field_map.to("cpu", torch.float64) for node in self.segments.nodes]
            )
            phases, weights = (
                torch.exp(-2j * torch.pi * turns).to(like),
                self.segments.interpolators.to(like),
            )
            self._kept[key] = tuple(
                (tensor, tensor.conj().resolve_conj()) for tensor in (phases, weights)
            )
        (phases, back), (weights, conjugate) = self._kept[key]
        return phases, back, weights, conjugate

    def _forward(self, image: Tensor) -> Tensor:
        phases, _, weights, _ = self._factors(image)
        if image.shape[1:] != self.field_map.shape[1:]:
            raise InputError(
                f"an image of {tuple(image.shape[1:])} given, the field map has"
                f" {tuple(self.field_map.shape[1:])}"
            )
        pairs = zip(phases, weights)
        return reduce(add, (self.fourier._forward(image * phase) * by for phase, by in pairs))

    def _adjoint(self, kspace: Tensor) -> Tensor:
        _, back, _, conjugate = self._factors(kspace)
        if kspace.ndim != 2 + self.times.ndim:
            raise InputError(
                f"k-space of {kspace.ndim} axes given, (batch, coil, samples) or (batch, coil, y,"
                " x) needed"
            )
        if any(
            own not in (1, size)
            for own, size in zip(self.times.shape, kspace.shape[2:], strict=True)
        ):
            raise InputError(
                f"k-space of {tuple(kspace.shape[2:])} given, the readout times have"
                f" {tuple(self.times.shape)}"
            )
        pairs = zip(back, conjugate)
        return reduce(add, (self.fourier._adjoint(kspace * by) * phase for phase, by in pairs))

    @property
    def members(self) -> int:
        """The batch that the operator is for; 1 where it serves any."""
        return max(len(self.field_map), self.fourier.members)

    def select(self, index: Tensor) -> "OffResonance":
        """The operator of the batch members in `index` (long, (n,)); parts shared by the whole
        batch stay shared.
        """
        field_map = selected(self.field_map, index)
        return OffResonance(
            self.fourier.select(index), field_map, self.times, self.tolerance, self.segments
        )

    def _shared(self) -> dict[str, object]:
        return {"readout times": self.times, "sizes of field_map": tuple(self.field_map.shape)}

    def _stacked(self, operators: "Sequence[OffResonance]") -> "OffResonance":
        """To the finest of the tolerances, over the range of all fields; with so many segments as
        the operator that was asked for most, where all were asked for a number.
        """
        asked = [A.segments.asked for A in operators if A.segments.asked is not None]
        return OffResonance(
            LinearOperator.stack([A.fourier for A in operators]),
            torch.cat([A.field_map for A in operators]),
            self.times,
            min(A.tolerance for A in operators),
            max(asked) if len(asked) == len(operators) else None,
        )


class ExactOffResonance(NDFTOperator):
    """The same map by its definition, one exponential for each pixel and sample: the reference, for
    small problems.

    trajectory, shape, coil_maps, weights: as in `NDFTOperator`. field_map: Hz, real (*shape) or
        (batch, *shape). times: seconds, (samples,).
    """

    field_map: Tensor
    times: Tensor

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, ...],
        field_map: Tensor,
        times: Tensor,
        coil_maps: Tensor | None = None,
        weights: Tensor | None = None,
    ):
        super().__init__(trajectory, shape, coil_maps, weights)
        self.register_buffer("field_map", _checked_field(field_map, self.shape))
        self.register_buffer("times", _checked_times(times, self, self.shape))
        self._agree()

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        apply_but_keep(
            ("field_map", "times"),
            self,
            lambda: super(ExactOffResonance, self)._apply(fn, *args, **kwargs),
        )
        return self

    def _parts(self) -> dict[str, Tensor | None]:
        return {
            **super()._parts(),
            **({"field_map": self.field_map} if "field_map" in self._buffers else {}),
        }

    def _options(self) -> dict:
        return {**super()._options(), "times": self.times}

    def _transform(self, member: int, coil_images: Tensor) -> Tensor:
        return torch.cat(
            [coil_images.flatten(1) @ matrix.T for matrix in self._matrices(member, coil_images)],
            dim=-1,
        )

    def _transform_adjoint(self, member: int, samples: Tensor) -> Tensor:
        image, first = samples.new_zeros(len(samples), math.prod(self.shape)), 0
        for matrix in self._matrices(member, samples):
            image += samples[:, first : first + len(matrix)] @ matrix.conj()
            first += len(matrix)
        return image.unflatten(-1, self.shape)

    def _matrices(self, member: int, like: Tensor) -> Iterator[Tensor]:
        """exp(-2 pi i (k . n + f t)), complex (block of samples, pixels), block after block."""
        axes = [
            torch.arange(size, dtype=torch.float64, device=like.device) - size // 2
            for size in self.shape
        ]
        pixels = torch.cartesian_prod(*axes).T
        field = of_member(self.field_map, member).to(like.device, torch.float64).flatten()
        step = max(1, BLOCK_BYTES // (16 * len(field)))
        points, times = (
            part.to(like.device, torch.float64).split(step)
            for part in (of_member(self.trajectory, member), self.times)
        )
        for block, when in zip(points, times):
            yield torch.exp(-2j * torch.pi * (block @ pixels + torch.outer(when, field))).to(
                like.dtype
            )


def _checked_field(field_map: Tensor, shape: tuple[int, ...] | None, dimensions: int = 2) -> Tensor:
    """(batch | 1, *shape). A Cartesian operator may leave its rows open, so that `shape` is known
    only off the grid.
    """
    given, axes = tuple(field_map.shape), dimensions if shape is None else len(shape)
    fits = (
        field_map.ndim in (axes, axes + 1)
        and (shape is None or given[-axes:] == shape)
        and field_map.numel() > 0
    )
    if field_map.is_complex() or not fits:
        size = ", ".join(AXES[-axes:]) if shape is None else ", ".join(map(str, shape))
        raise InputError(
            f"field_map: {field_map.dtype} of shape {given} given, real ({size}) or (batch, {size})"
            " in Hz needed"
        )
    if not bool(torch.isfinite(field_map).all()):
        raise InputError(
            "field_map: some values are NaN or infinite; finite Hz needed (0 where the field is"
            " unknown)"
        )
    return field_map.detach().reshape(-1, *given[-axes:])


def _checked_times(times: Tensor, fourier: LinearOperator, shape: tuple[int, ...]) -> Tensor:
    given = tuple(times.shape)
    if isinstance(fourier, NonCartesianOperator):
        fits, needed = given == (fourier.samples,), f"({fourier.samples},)"
    else:
        rows = (1,) * (len(shape) - 2) + (shape[-2], 1)
        fits, needed = (
            given in (rows[-2:-1], rows[-2:], rows, tuple(shape)),
            f"({shape[-2]},) for the rows or {tuple(shape)}",
        )
    if times.is_complex() or not fits:
        raise InputError(
            f"times: {times.dtype} of shape {given} given, real {needed} in seconds needed"
        )
    if not bool(torch.isfinite(times).all()):
        raise InputError("times: some are NaN or infinite; finite seconds needed")
    if not isinstance(fourier, NonCartesianOperator) and len(given) < len(shape):
        return times.detach().reshape(rows)
    return times.detach()
