"""Volumes whose coils are mixed before anything else sees them: noisy ones are left out, the others
whitened, then compressed.

The target stays that of the coils as they were measured, so that scores are comparable with and
without. A root-sum-of-squares of whitened coils weighs quiet coils for more and is shaded in
another way. But coil maps tell by how much, pixel by pixel (`shading`), so a reconstruction is
brought back to the measured coils' shading before it is compared or written. What compression loses
a method has to answer for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from deqlab.data.formats.protocol import GridVolume, OffGridVolume, Volume
from deqlab.data.formats.samples import in_unit_range
from deqlab.data.prepare.left_out_coils import LeftOut, some_of
from deqlab.data.prepare.options import Preparation
from deqlab.data.prepare.stored_maps import StoredMaps, of_unit_size
from deqlab.signal.coils.air_noise import NoWhitening, Whitener, Whitening
from deqlab.signal.coils.coil_compression import compression_matrix
from deqlab.signal.coils.coil_maps import rss
from deqlab.signal.coils.whitening import mix_coils


class Mixing(Protocol):
    """Which combinations of coils take their place: of how many how many, and for each slice a
    matrix (new, coil), or None where they stay as they are.
    """

    def coils(self, available: int) -> int: ...

    def matrix(self, index: int) -> Tensor | None: ...


@dataclass(frozen=True)
class Whitened:
    """Coils of white noise, by what `how` finds in some of the slices `chosen`; left as they are
    where it finds no reason.

    mask: bool (column,) of what was measured, None off the grid.
    """

    volume: Volume
    how: Whitener
    mask: Tensor | None
    chosen: Sequence[int]

    @cached_property
    def found(self) -> Whitening:
        """What was decided, for all slices at once."""
        if self.mask is None:
            return Whitening(None, "its samples are off the grid")
        samples = [self.volume.kspace(index) for index in some_of(self.chosen)]
        return self.how.matrix([torch.from_numpy(in_unit_range(s)[0]) for s in samples], self.mask)

    def coils(self, available: int) -> int:
        return available

    def matrix(self, index: int) -> Tensor | None:
        return self.found.matrix


@dataclass(frozen=True)
class Compressed:
    """At most `most` virtual coils, for each slice those that hold most of the energy of what was
    measured of it.
    """

    volume: Volume
    mask: Tensor | None
    most: int

    def coils(self, available: int) -> int:
        return min(self.most, available)

    def matrix(self, index: int) -> Tensor | None:
        coils = self.volume.shape[1]
        if coils <= self.most:
            return None
        samples = torch.from_numpy(in_unit_range(self.volume.kspace(index))[0])
        measured = samples if self.mask is None else samples * self.mask
        return compression_matrix(measured.reshape(coils, 1, -1), self.most)


@dataclass(frozen=True, kw_only=True)
class MixedGridVolume(GridVolume):
    """A volume on the grid whose coils are mixed."""

    source: GridVolume
    mixing: Mixing

    def kspace(self, index: int) -> np.ndarray:
        """As `Volume.kspace`, of the mixed coils."""
        return _mixed(self.mixing.matrix(index), self.source.kspace(index))

    def target(self, index: int) -> np.ndarray | None:
        """The source's, of the coils as they were measured."""
        return self.source.target(index)

    @cached_property
    def maximum(self) -> float:
        """The source's."""
        return self.source.maximum


@dataclass(frozen=True, kw_only=True)
class MixedOffGridVolume(OffGridVolume):
    """A volume off the grid whose coils are mixed; all else is the source's."""

    source: OffGridVolume
    mixing: Mixing

    @property
    def knows(self) -> frozenset[str]:
        return self.source.knows

    @property
    def off_resonance(self) -> bool:
        return self.source.off_resonance

    def kspace(self, index: int) -> np.ndarray:
        """As `Volume.kspace`, of the mixed coils."""
        return _mixed(self.mixing.matrix(index), self.source.kspace(index))

    def trajectory(self, index: int) -> Tensor:
        """The source's."""
        return self.source.trajectory(index)

    def density(self, index: int) -> Tensor | None:
        """The source's."""
        return self.source.density(index)

    def field_map(self, index: int) -> tuple[Tensor, Tensor] | None:
        """The source's."""
        return self.source.field_map(index)

    def reference(self, index: int) -> np.ndarray | None:
        """As `OffGridVolume.reference`, of the mixed coils."""
        images = self.source.reference(index)
        return None if images is None else _mixed(self.mixing.matrix(index), images)

    def target(self, index: int) -> np.ndarray | None:
        """The source's, of the coils as they were measured."""
        return self.source.target(index)

    @cached_property
    def maximum(self) -> float:
        """The source's."""
        return self.source.maximum


Mixed = MixedGridVolume | MixedOffGridVolume


def with_mixed_coils(
    volume: Volume, mask: Tensor | None, options: Preparation, chosen: Sequence[int]
) -> Volume:
    """`volume` with its coils mixed as `options` want it, itself where they want nothing. No sample
    is read before one is asked for.

    mask: of what is measured, None off the grid. chosen: the slices that will be asked for.
    """
    if not isinstance(options.whiten, NoWhitening):
        volume = _of(volume, LeftOut(volume, mask, chosen))
        volume = _of(volume, Whitened(volume, options.whiten, mask, chosen))
    if options.coils is not None:
        volume = _of(volume, Compressed(volume, mask, options.coils))
    return volume


def stored_maps(volume: Volume, index: int, stored: StoredMaps, shape: tuple[int, int]) -> Tensor:
    """The maps that a file has for the coils of slice `index` as measured, mixed as these are:
    complex64 (coil, y, x), sum |c|^2 = 1 or 0.
    """
    if not isinstance(volume, Mixed):
        return stored.read(index, volume.slices, (volume.shape[1], *shape))
    maps, matrix = stored_maps(volume.source, index, stored, shape), volume.mixing.matrix(index)
    return maps if matrix is None else of_unit_size(mix_coils(matrix, maps))


def shading(volume: Volume, index: int, maps: Tensor) -> Tensor | None:
    """What brings |image| to the shading of the coils of slice `index` as measured, real (y, x):
    their root-sum-of-squares where `maps`, complex (coil, y, x), see an image of 1. None where no
    coils were mixed.
    """
    mixed, at = False, volume
    while isinstance(at, Mixed):
        matrix, at = at.mixing.matrix(index), at.source
        if matrix is not None:
            # The inverse of a whitening; nothing for a coil that is left out; the adjoint of a
            # compression, whose rows are orthonormal.
            maps, mixed = mix_coils(torch.linalg.pinv(matrix), maps), True
    return rss(maps) if mixed else None


def preparation_told(volume: Volume, maps: Iterable[str]) -> str:
    """What was done to the coils of a volume and where its `maps` come from, slice by slice, in
    words.
    """
    found, left_out, at = Whitening(None, "not asked for"), list[str](), volume
    while isinstance(at, Mixed):
        found = at.mixing.found if isinstance(at.mixing, Whitened) else found
        left_out += at.mixing.told if isinstance(at.mixing, LeftOut) else []
        at = at.source
    done = "not whitened" if found.matrix is None else "whitened"
    sources = dict.fromkeys(f"coil maps {source}" for source in maps)
    kept = f"{volume.shape[1]} of {at.shape[1]} coils kept"
    return "; ".join([*left_out, f"coils {done} ({found.why})", kept, *sources])


def _of(volume: Volume, mixing: Mixing) -> Volume:
    """The volume with its coils mixed; what is of no known kind is left to whoever needs one."""
    slices, coils, *sizes = volume.shape
    shape = slices, mixing.coils(coils), *sizes
    if isinstance(volume, GridVolume):
        facts = _facts(volume, GridVolume) | {"shape": shape}
        return MixedGridVolume(**facts, source=volume, mixing=mixing)
    if isinstance(volume, OffGridVolume):
        facts = _facts(volume, OffGridVolume) | {"shape": shape}
        return MixedOffGridVolume(**facts, source=volume, mixing=mixing)
    return volume


def _facts(volume: Volume, kind: type[GridVolume] | type[OffGridVolume]) -> dict[str, Any]:
    return {field.name: getattr(volume, field.name) for field in fields(kind)}


def _mixed(matrix: Tensor | None, samples: np.ndarray) -> np.ndarray:
    """Combinations of the coils of complex (coil, ...), in the precision of the samples."""
    if matrix is None:
        return samples
    mixed: np.ndarray = np.tensordot(
        matrix.resolve_conj().numpy().astype(samples.dtype), samples, axes=1
    )
    return mixed
