"""One slice under study, from whatever file it came, and the rules for putting slices into a
batch.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.truth import BatchTruth, KnownTruth, Truth
from deqlab.operators import LinearOperator


@dataclass
class Sample:
    """A slice or a volume, or after `collate` a batch of them, ready for any reconstructor.

    Use: `image = recon(sample.kspace, sample.operator)`. Every intensity is divided by `scale`, so
    that the zero-filled image has the maximum 1 whatever the scanner's units.

    kspace: complex64, undersampled: (coil, y, x), zero where nothing was sampled; (coil, z, y, x)
        of a volume; (coil, samples) off the grid, each sample times the root of its density weight.
        Batched with a leading batch axis.
    operator: A of this slice, any `LinearOperator`; A(reference) is `kspace` but for noise and for
        what the coil maps miss.
    scale: maximum of |A^H y| in the file's units; batched a float64 tensor (batch,).
    file, slice, contrast: where it came from; lists when batched.
    crop: (h, w), the centre of |image| that `target` shows.
    truth: what is known of the image. It is read when `target`, `reference` or `maximum` are asked
        for, so that a reconstruction reads none of it.
    """

    kspace: Tensor
    operator: LinearOperator
    scale: float | Tensor
    file: str | list[str]
    slice: int | list[int]
    contrast: str | list[str]
    crop: tuple[int, int]
    truth: Truth = KnownTruth()

    @cached_property
    def target(self) -> Tensor | None:
        """float32 (h, w), the magnitude that the file or its full k-space gives, cropped, beside
        `kspace`; batched (batch, h, w). None where it is not known.
        """
        return self._beside(self.truth.target)

    @cached_property
    def reference(self) -> Tensor | None:
        """complex64 (y, x), the fully sampled coil images combined with the operator's maps, beside
        `kspace`; batched (batch, y, x). None where it is not known.
        """
        return self._beside(self.truth.reference)

    @cached_property
    def maximum(self) -> float | Tensor:
        """Largest target value of the *volume* in the file's units, which metrics take as data
        range; NaN where unknown; batched a float64 tensor (batch,).
        """
        return self._beside(self.truth.maximum)

    def to(self, device: torch.device | str) -> "Sample":
        """The same sample on `device`; the operator is copied, not moved."""
        return replace(self._each(lambda tensor: tensor.to(device)), operator=self._copied(device))

    def pin_memory(self) -> "Sample":
        """The same sample with its tensors in page-locked memory (what a DataLoader asks for)."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _beside(self, value):
        return value.to(self.kspace.device) if isinstance(value, Tensor) else value

    def _each(self, change) -> "Sample":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: change(v) for name, v in values.items() if isinstance(v, Tensor)}
        )

    def _copied(self, device: torch.device | str) -> LinearOperator:
        # Buffers are never changed in place, so the copy may share them until it moves.
        shared = {id(buffer): buffer for buffer in self.operator.buffers()}
        return copy.deepcopy(self.operator, shared).to(device)


def collate(samples: Sequence[Sample]) -> Sample:
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
                f"slices of different size cannot share a batch: {_name(first)} has"
                f" {_describe(first)}, {_name(other)} has {_describe(other)}; use batch size 1 or"
                " groups_by_shape"
            )
        for field in ("target", "reference"):
            if (field in first.truth.knows) != (field in other.truth.knows):
                raise InputError(
                    f"{_name(first)} and {_name(other)}: one has a {field}, the other has none; "
                    "batch them apart"
                )
    return Sample(
        kspace=torch.stack([s.kspace for s in samples]),
        operator=_stacked(samples),
        scale=torch.tensor([s.scale for s in samples], dtype=torch.float64),
        file=[s.file for s in samples],
        slice=[s.slice for s in samples],
        contrast=[s.contrast for s in samples],
        crop=first.crop,
        truth=BatchTruth([s.truth for s in samples]),
    )


def _stacked(samples: Sequence[Sample]) -> LinearOperator:
    """The operators as one for the batch; InputError with the slices' names where they do not
    fit.
    """
    try:
        return LinearOperator.stack([s.operator for s in samples])
    except InputError as error:
        raise InputError(f"{_name(samples[0])} to {_name(samples[-1])}: {error}") from None


def groups_by_shape(dataset) -> dict[tuple, list[int]]:
    """Indices of `dataset` by the shape of their samples: every list can be batched.

    Order is kept and no slice is read.
    dataset: anything with `len` and `shape(index)`, such as SliceDataset.
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


def _name(sample: Sample) -> str:
    return f"{sample.file} slice {sample.slice}"
