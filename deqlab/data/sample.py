"""One slice under study, from whatever file it came, and the rules for putting slices into a
batch.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.truth import BatchTruth, KnownTruth, Truth
from deqlab.operators import LinearOperator
from deqlab.signal.transforms.crop import center_crop


@dataclass
class Measured:
    """What a slice or a volume under study and a batch of them have in common. Use:
    `image = recon(measured.kspace, measured.operator)`.

    Every intensity is divided by `scale`, so that the zero-filled image has the maximum 1 whatever
    the scanner's units.

    kspace: complex64, undersampled: (coil, y, x), zero where nothing was sampled; (coil, z, y, x)
        of a volume; (coil, samples) off the grid, each sample times the root of its density weight.
    operator: A of this slice, any `LinearOperator`; A(reference) is `kspace` but for noise and for
        what the coil maps miss.
    scale: maximum of |A^H y| in the file's units. file, slice, contrast: where it came from.
    crop: (h, w), the centre of |image| that `target` shows.
    truth: what is known of the image. It is read when `target`, `reference` or `maximum` are asked
        for, so that a reconstruction reads none of it.
    shading: real (y, x), what |image| has to be multiplied by to be shaded like `target`; None for
        1. Coils that were mixed leave one.
    """

    kspace: Tensor
    operator: LinearOperator
    scale: float | Tensor
    file: str | list[str]
    slice: int | list[int]
    contrast: str | list[str]
    crop: tuple[int, int]
    truth: Truth = KnownTruth()
    shading: Tensor | None = None

    @property
    def name(self) -> str:
        """File and slice, for messages."""
        return f"{self.file} slice {self.slice}"

    @cached_property
    def target(self) -> Tensor | None:
        """float32 (h, w), the magnitude that the file or its full k-space gives, cropped, beside
        `kspace`; None where it is not known.
        """
        return self._beside(self.truth.target)

    @cached_property
    def reference(self) -> Tensor | None:
        """complex64 (y, x), the fully sampled coil images combined with the operator's maps, beside
        `kspace`; None where it is not known.
        """
        return self._beside(self.truth.reference)

    def known(self, part: Literal["target", "reference"]) -> Tensor:
        """`target` or `reference`; InputError where it is not known."""
        image: Tensor | None = getattr(self, part)
        if image is None:
            raise InputError(f"{self.name}: its {part} is not known; a fully sampled file has one")
        return image

    def magnitude(self, image: Tensor) -> Tensor:
        """|image| as `target` shows it, in units of `scale`: complex (..., y, x) to real (..., h,
        w).
        """
        size = image.abs() if self.shading is None else image.abs() * self.shading
        return center_crop(size, self.crop)

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`; the operator is copied, not moved."""
        return replace(self._each(lambda tensor: tensor.to(device)), operator=self._copied(device))

    def pin_memory(self) -> Self:
        """The same with its tensors in page-locked memory (what a DataLoader asks for)."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _beside(self, image: Tensor | None) -> Tensor | None:
        return None if image is None else image.to(self.kspace.device)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changes: dict[str, Any] = {n: change(v) for n, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changes)

    def _copied(self, device: torch.device | str) -> LinearOperator:
        # Buffers are never changed in place, so the copy may share them until it moves.
        shared: dict[int, Any] = {id(buffer): buffer for buffer in self.operator.buffers()}
        return copy.deepcopy(self.operator, shared).to(device)


@dataclass
class Sample(Measured):
    """A slice or a volume, ready for any reconstructor once `collate` has given it a batch axis.

    coil_maps_by: what estimated the maps of the operator, or which file has them, in words.
    maps_explain: the share of the energy about the centre of k-space that these maps explain, 1 at
        best; None where it was not asked for or cannot be told.
    """

    scale: float
    file: str
    slice: int
    contrast: str
    coil_maps_by: str = ""
    maps_explain: float | None = None

    @property
    def maximum(self) -> float:
        """Largest target value of the *volume* in the file's units, which metrics take as data
        range; NaN where unknown.
        """
        return float(self.truth.maximum)


@dataclass
class Batch(Measured):
    """A batch of slices: every tensor has a leading batch axis, and there is one operator for all.

    scale: float64 (batch,).
    """

    scale: Tensor
    file: list[str]
    slice: list[int]
    contrast: list[str]

    @property
    def name(self) -> str:
        """The first and the last slice, for messages."""
        first, last = (f"{self.file[at]} slice {self.slice[at]}" for at in (0, -1))
        return first if first == last else f"{first} to {last}"

    @cached_property
    def maximum(self) -> Tensor:
        """As `Sample.maximum`, float64 (batch,)."""
        return torch.as_tensor(self.truth.maximum, dtype=torch.float64).to(self.kspace.device)


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of slices: tensors gain a leading batch axis, names become lists.

    samples: of equal size, coil count and crop.
    `target` and `reference` are kept where every slice has one and dropped where none has. Raises
    InputError naming the two slices that do not fit; `groups_by_shape` tells beforehand which
    slices fit each other.
    """
    if not samples:
        raise InputError("a batch needs at least one sample; 0 given")
    first = samples[0]
    for other in samples[1:]:
        if _size(other) != _size(first):
            raise InputError(
                f"slices of different size cannot share a batch: {first.name} has"
                f" {_describe(first)}, {other.name} has {_describe(other)}; use batch size 1 or"
                " groups_by_shape"
            )
        for field in ("target", "reference"):
            if (field in first.truth.knows) != (field in other.truth.knows):
                raise InputError(
                    f"{first.name} and {other.name}: one has a {field}, the other has none; "
                    "batch them apart"
                )
    return Batch(
        kspace=torch.stack([s.kspace for s in samples]),
        operator=_stacked(samples),
        scale=torch.tensor([s.scale for s in samples], dtype=torch.float64),
        file=[s.file for s in samples],
        slice=[s.slice for s in samples],
        contrast=[s.contrast for s in samples],
        crop=first.crop,
        truth=BatchTruth([s.truth for s in samples]),
        shading=_shadings(samples),
    )


def _shadings(samples: Sequence[Sample]) -> Tensor | None:
    """Those of all samples, real (batch, y, x); None where none has one."""
    known = [sample.shading for sample in samples if sample.shading is not None]
    if not known:
        return None
    none = torch.ones_like(known[0])
    return torch.stack([none if s.shading is None else s.shading for s in samples])


def _stacked(samples: Sequence[Sample]) -> LinearOperator:
    """The operators as one for the batch; InputError with the slices' names where they do not
    fit.
    """
    try:
        return LinearOperator.stack([s.operator for s in samples])
    except InputError as error:
        raise InputError(f"{samples[0].name} to {samples[-1].name}: {error}") from None


class Shaped(Protocol):
    """A data set that tells the shape of a sample without reading it."""

    def __len__(self) -> int: ...

    def shape(self, index: int) -> tuple: ...


def groups_by_shape(dataset: Shaped) -> dict[tuple, list[int]]:
    """Indices of `dataset` by the shape of their samples: every list can be batched.

    Order is kept and no slice is read.
    dataset: such as SliceDataset.
    """
    groups: dict[tuple, list[int]] = {}
    for index in range(len(dataset)):
        groups.setdefault(dataset.shape(index), []).append(index)
    return groups


def _size(sample: Sample) -> tuple:
    return tuple(sample.kspace.shape), tuple(sample.crop)


def _describe(sample: Sample) -> str:
    coils, *size = sample.kspace.shape
    measured = _times(size) if len(size) > 1 else f"{size[0]} samples"
    return f"{coils} coils of {measured} cropped to {_times(sample.crop)}"


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
