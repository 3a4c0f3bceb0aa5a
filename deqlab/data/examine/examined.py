"""A file opened with open eyes: the one road by which everything reads samples.

On opening, the facts are compared with one another and with the slice that tells most, one of at
most three that are read for it; what is misplaced alike in all slices is put into its place. Every
other slice is examined when its k-space is first asked for, so that nothing is read twice. What
contradicts is told in a `DeqlabWarning`, or refused in an `InputError`.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.examine.density_fits import contradicts
from deqlab.data.examine.echo import echo
from deqlab.data.examine.placing import Placement, placement
from deqlab.data.examine.protocol import Finding, Severity
from deqlab.data.examine.registry import facts_of, samples_of
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.protocol import Format, GridVolume, OffGridVolume, Volume
from deqlab.data.formats.registry import NOTHING, format_of


@dataclass(frozen=True, kw_only=True)
class ExaminedGridVolume(GridVolume):
    """A volume on the grid whose samples are in their place.

    source: as the file states it. place: what brings its samples there. known: slices that were
    examined.
    """

    source: GridVolume
    place: Placement
    known: set[int] = field(default_factory=set, repr=False, compare=False)

    def placed(self, index: int) -> np.ndarray:
        """k-space of slice `index` in its place, unexamined."""
        return self.place(self.source.kspace(index))

    def kspace(self, index: int) -> np.ndarray:
        """As `Volume.kspace`, in its place; examined at the first time, so InputError for what a
        check refuses.
        """
        return _told_once(self, index)

    def findings(self, index: int, samples: np.ndarray) -> list[Finding]:
        """What the samples of slice `index` contradict, given in their place."""
        return list(samples_of(self, SeenSlice(index, samples)))

    def target(self, index: int) -> np.ndarray | None:
        """The source's: a shift of k-space changes no magnitude."""
        return self.source.target(index)

    @cached_property
    def maximum(self) -> float:
        """The source's."""
        return self.source.maximum


@dataclass(frozen=True, kw_only=True)
class ExaminedOffGridVolume(OffGridVolume):
    """A volume off the grid whose trajectory fits; density weights that do not are left out.

    source: as the file states it. known: slices that were examined.
    """

    source: OffGridVolume
    known: set[int] = field(default_factory=set, repr=False, compare=False)

    @property
    def knows(self) -> frozenset[str]:
        return self.source.knows

    @property
    def off_resonance(self) -> bool:
        return self.source.off_resonance

    def placed(self, index: int) -> np.ndarray:
        """k-space of slice `index`, unexamined."""
        return self.source.kspace(index)

    def kspace(self, index: int) -> np.ndarray:
        """As `Volume.kspace`; examined at the first time, so InputError for what a check
        refuses.
        """
        return _told_once(self, index)

    def findings(self, index: int, samples: np.ndarray) -> list[Finding]:
        """What the samples of slice `index` contradict."""
        return list(samples_of(self.source, SeenSlice(index, samples)))

    def trajectory(self, index: int) -> Tensor:
        """The source's."""
        return self.source.trajectory(index)

    def density(self, index: int) -> Tensor | None:
        """The source's, None where they contradict the trajectory."""
        return None if contradicts(self.source, index) else self.source.density(index)

    def field_map(self, index: int) -> tuple[Tensor, Tensor] | None:
        """The source's."""
        return self.source.field_map(index)

    def reference(self, index: int) -> np.ndarray | None:
        """The source's."""
        return self.source.reference(index)

    def target(self, index: int) -> np.ndarray | None:
        """The source's."""
        return self.source.target(index)

    @cached_property
    def maximum(self) -> float:
        """The source's."""
        return self.source.maximum


def _told_once(volume: ExaminedGridVolume | ExaminedOffGridVolume, index: int) -> np.ndarray:
    """The samples of slice `index`, with what they contradict told at the first time."""
    samples = volume.placed(index)
    if index not in volume.known:
        tell(volume.path, volume.findings(index, samples), index)
        volume.known.add(index)
    return samples


@dataclass(frozen=True)
class Examination:
    """volume: with its samples in their place, or as it was where its facts are refused. findings:
    with the slice that betrayed them, None for the volume as a whole. seen: the slice that was
    read, None where there was none.
    """

    volume: Volume
    findings: tuple[tuple[Finding, int | None], ...]
    seen: int | None = None


def open_volume(
    path: str | Path, slices: Sequence[int] = (), told: Mapping[str, Any] = NOTHING
) -> Volume:
    """The volume of the file `path`, whatever its format, examined, and kept until the file
    changes.

    slices: those that will be asked for, all where empty. told: options of its format. Reads the
    middle one of these slices, seldom one or two more. Warns (DeqlabWarning) of what contradicts,
    and of what was done about it. Raises InputError, one line naming file and field, for what
    cannot be used.
    """
    path = Path(path)
    kind = format_of(path, told)
    kind.open(path)  # for its own warnings, which are due each time
    found = _opened(path, tuple(slices), kind, *stamp(path))
    for finding, index in sorted(found.findings, key=lambda entry: -entry[0].severity):
        tell(path, [finding], index)
    return found.volume


@lru_cache(maxsize=4096)
def _opened(path: Path, slices: tuple[int, ...], kind: Format, time: int, size: int) -> Examination:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        return examined(kind.open(path), slices)


def examined(volume: Volume, slices: Sequence[int] = ()) -> Examination:
    """What the facts of a volume and the slice of `slices` that tells most say of it; nothing is
    raised. slices: all where empty.
    """
    facts = [(finding, None) for finding in facts_of(volume)]
    refused = any(finding.severity is Severity.REFUSAL for finding, _ in facts)
    seen = None if refused else _telling(volume, slices or range(volume.slices))
    if refused or not isinstance(volume, (GridVolume, OffGridVolume)):
        return Examination(volume, tuple(facts))
    better: ExaminedGridVolume | ExaminedOffGridVolume
    if isinstance(volume, OffGridVolume):
        better = ExaminedOffGridVolume(**_facts(volume, OffGridVolume), source=volume)
    else:
        place = Placement(acquired=volume.acquired) if seen is None else placement(volume, seen)
        mask = None if volume.mask is None else place(volume.mask)
        known = _facts(volume, GridVolume) | {"acquired": place.acquired, "mask": mask}
        better = ExaminedGridVolume(**known, source=volume, place=place)
        facts += [(finding, None) for finding in place.findings]
    if seen is None:
        return Examination(better, tuple(facts))
    better.known.add(seen.index)
    samples = better.place(seen.stored) if isinstance(better, ExaminedGridVolume) else seen.stored
    own = [(finding, seen.index) for finding in better.findings(seen.index, samples)]
    return Examination(better, (*facts, *own), seen.index)


def tell(path: Path, findings: Iterable[Finding], index: int | None = None) -> None:
    """Warns of each finding that is a warning, with its slice. InputError for a refusal."""
    for finding in findings:
        told = (
            f"{path}: {finding.told}" if index is None else f"{path}: slice {index}: {finding.told}"
        )
        if finding.severity is Severity.REFUSAL:
            raise InputError(told)
        if finding.severity is Severity.WARNING:
            warnings.warn(told, DeqlabWarning, stacklevel=1)


def _telling(volume: Volume, slices: Sequence[int]) -> SeenSlice | None:
    """The first slice whose echo stands out, from the middle on, of at most three; else the first
    that can be read, None where none can.
    """
    middle, readable = len(slices) // 2, None
    for at in dict.fromkeys((middle, middle // 2, (middle + len(slices)) // 2)):
        index = slices[at]
        try:
            seen = SeenSlice(index, volume.kspace(index))
        except InputError:
            continue  # whoever asks for that slice is told
        readable = readable or seen
        if isinstance(volume, OffGridVolume) or all(
            echo(seen.profile(axis)) is not None for axis in (0, 1)
        ):
            return seen
    return readable


def _facts(volume: Volume, kind: type[GridVolume] | type[OffGridVolume]) -> dict[str, Any]:
    return {entry.name: getattr(volume, entry.name) for entry in fields(kind)}
