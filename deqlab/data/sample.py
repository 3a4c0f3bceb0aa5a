"""One slice under study, from whatever file it came, and the rules for putting slices into a
batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.cartesian import CartesianOperator


@dataclass
class Sample:
    """A slice, or after `collate` a batch of slices, ready for any reconstructor.

    Use: `image = recon(sample.kspace, sample.operator)`. Every intensity is divided by `scale`, so
    that the zero-filled image has the maximum 1 whatever the scanner's units.

    kspace: complex64 (coil, y, x), undersampled, zero where nothing was sampled; batched (batch,
        coil, y, x).
    operator: A of this slice; A(reference) is `kspace` but for noise and for what the coil maps
        miss.
    target: float32 (h, w), the magnitude the file or its full k-space gives, cropped; None in a
        masked file.
    reference: complex64 (y, x), the fully sampled coil images combined with the operator's maps;
        None in a masked file.
    scale: maximum of |A^H y| in the file's units; batched a float64 tensor (batch,).
    maximum: largest target value of the *volume* in the file's units, which metrics take as data
        range; NaN where unknown.
    file, slice, contrast: where it came from; lists when batched.
    crop: (h, w), the centre of |image| that `target` shows.
    """

    kspace: Tensor
    operator: CartesianOperator
    target: Tensor | None
    reference: Tensor | None
    scale: float | Tensor
    maximum: float | Tensor
    file: str | list[str]
    slice: int | list[int]
    contrast: str | list[str]
    crop: tuple[int, int]

    def to(self, device: torch.device | str) -> "Sample":
        """The same sample on `device`; the operator is copied, not moved."""
        maps = self.operator.coil_maps
        moved = {
            "operator": CartesianOperator(
                self.operator.mask.to(device), None if maps is None else maps.to(device)
            ),
            **{
                f.name: v.to(device)
                for f in fields(self)
                if isinstance(v := getattr(self, f.name), Tensor)
            },
        }
        return replace(self, **moved)

    def pin_memory(self) -> "Sample":
        """The same sample with its tensors in page-locked memory (what a DataLoader asks for)."""
        pinned = {
            f.name: v.pin_memory()
            for f in fields(self)
            if isinstance(v := getattr(self, f.name), Tensor)
        }
        return replace(self, **pinned)


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
            if (getattr(first, field) is None) != (getattr(other, field) is None):
                raise InputError(
                    f"{_name(first)} and {_name(other)}: one has a {field}, the other has none; "
                    "batch them apart"
                )
    return Sample(
        kspace=torch.stack([s.kspace for s in samples]),
        operator=CartesianOperator.stack([s.operator for s in samples]),
        target=None if first.target is None else torch.stack([s.target for s in samples]),
        reference=None if first.reference is None else torch.stack([s.reference for s in samples]),
        scale=torch.tensor([s.scale for s in samples], dtype=torch.float64),
        maximum=torch.tensor([s.maximum for s in samples], dtype=torch.float64),
        file=[s.file for s in samples],
        slice=[s.slice for s in samples],
        contrast=[s.contrast for s in samples],
        crop=first.crop,
    )


def groups_by_shape(dataset) -> dict[tuple, list[int]]:
    """Indices of `dataset` by the shape of their samples: every list can be batched.

    Order is kept and no slice is read.
    dataset: anything with `len` and `shape(index)`, such as FastMRIDataset.
    """
    groups: dict[tuple, list[int]] = {}
    for index in range(len(dataset)):
        groups.setdefault(dataset.shape(index), []).append(index)
    return groups


def _size(sample: Sample) -> tuple:
    return tuple(sample.kspace.shape), tuple(sample.crop), sample.operator.mask.shape


def _describe(sample: Sample) -> str:
    (coils, rows, columns), (height, width) = sample.kspace.shape, sample.crop
    return f"{coils} coils of {rows}x{columns} cropped to {height}x{width}"


def _name(sample: Sample) -> str:
    return f"{sample.file} slice {sample.slice}"
