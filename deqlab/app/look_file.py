"""What is in a file of k-space, in words and on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from deqlab.data.dataset import SliceDataset
from deqlab.data.formats.protocol import GridVolume, OffGridVolume, Volume
from deqlab.data.formats.registry import FORMATS, NOTHING, format_of
from deqlab.data.sample import Sample, collate
from deqlab.data.sampling import describe
from deqlab.operators.cartesian import CartesianOperator
from deqlab.operators.coil_operator import CoilOperator
from deqlab.operators.noncartesian import NonCartesianOperator
from deqlab.signal.coils.air_noise import WhiteningByAir
from deqlab.signal.coils.automatic import Auto


@dataclass(frozen=True)
class Look:
    """lines: what is in the file, a fact a line. figure: the page. slice: that is on it."""

    lines: list[str]
    figure: Figure
    slice: int


def look_at(path: str | Path, index: int | None = None, told: Mapping[str, Any] = NOTHING) -> Look:
    """What the file is, and one page of slice `index`, the middle one where None: zero-filled
    image, k-space, mask, noise covariance, coil images and coil maps.

    told: options of the file's format. No name, date or path of a patient is in it. Raises
    InputError for what cannot be used.
    """
    from deqlab.show.scan_page import scan_page  # imported here because it takes a while

    path = Path(path)
    kind = format_of(path, told)
    middle = kind.open(path).slices // 2
    dataset = SliceDataset(
        path, None, [middle if index is None else index], coil_maps=Auto(), told=told
    )
    (scan,), ((_, at),) = dataset.scans, dataset.items
    volume, sample = scan.volume, dataset[0]
    stored = torch.from_numpy(volume.kspace(at))
    covariance, found_by = _noise(volume, stored)
    size = torch.linalg.vector_norm(stored, dim=0)
    figure = scan_page(
        sample.magnitude(collate([sample]).operator.H(sample.kspace[None])[0]),
        size.numpy(),
        title=f"{path.name}: slice {at} of {volume.slices}, {volume.shape[1]} coils",
        positions=volume.trajectory(at).numpy() if isinstance(volume, OffGridVolume) else None,
        mask=volume.mask if isinstance(volume, GridVolume) else None,
        covariance=covariance,
        coils=_coil_images(sample),
        maps=_maps(sample),
    )
    facts = {
        "format": FORMATS.name_of(kind),
        "k-space": f"{_times(volume.shape)} ({_axes(volume)}), {stored.dtype}".replace(
            "torch.", ""
        ),
        "image": f"{_times(volume.recon_shape)}, voxel {_voxel(volume)}",
        "sampling": describe(volume),
        "acquired columns": _acquired(volume),
        "contrast": volume.contrast,
        "largest sample": f"{float(size.max()):.4g} in slice {at}",
        "noise": found_by,
        "coil maps": _told_of_maps(sample),
        "emulated": volume.emulated,
    }
    lines = [f"{name}: {fact}" for name, fact in facts.items() if fact]
    return Look([*lines, *(f"note: {note}" for note in volume.notes)], figure, at)


def _noise(volume: Volume, kspace: Tensor) -> tuple[np.ndarray | None, str]:
    """(covariance of the coils' noise, where it comes from and how uneven it is)."""
    found, source = volume.noise, "by noise scans"
    if found is None and isinstance(volume, GridVolume):
        mask = torch.ones(volume.shape[-1], dtype=torch.bool)
        if volume.mask is not None:
            mask = torch.from_numpy(volume.mask.copy())
        air = WhiteningByAir().covariance([kspace], mask) if mask.ndim == 1 else None
        found, source = None if air is None else air.numpy(), "of air"
    if found is None:
        return None, "not found beside the signal"
    levels = np.sqrt(np.diagonal(found).real)
    return found, (
        f"{source}, standard deviation {levels.min():.3g} to {levels.max():.3g} from coil to coil"
    )


def _coil_images(sample: Sample) -> list[Tensor]:
    """|A_c^H y| of each coil alone."""
    operator = collate([sample]).operator
    if not isinstance(operator, CoilOperator):
        return []
    alone = operator.with_maps(None)
    return [sample.magnitude(alone.H(coil[None, None])[0]) for coil in sample.kspace]


def _maps(sample: Sample) -> list[Tensor]:
    operator = sample.operator
    if not isinstance(operator, (CartesianOperator, NonCartesianOperator)):
        return []
    maps = operator.coil_maps
    return [] if maps is None else list(maps.reshape(-1, *maps.shape[-2:]).abs())


def _told_of_maps(sample: Sample) -> str:
    share = sample.maps_explain
    explained = "" if share is None else f", explain {share:.1%} of the centre"
    return f"{sample.coil_maps_by}{explained}"


def _axes(volume: Volume) -> str:
    inner = "rows, columns" if isinstance(volume, GridVolume) else "samples"
    return f"slices, coils, {inner}"


def _acquired(volume: Volume) -> str:
    if not isinstance(volume, GridVolume) or volume.acquired is None:
        return ""
    first, end = volume.acquired
    return f"{first} to {end - 1} of {volume.shape[-1]}"


def _voxel(volume: Volume) -> str:
    sides = ["?" if side is None else f"{side:.3g}" for side in volume.voxel]
    return f"{' x '.join(sides)} mm (slice, row, column)"


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
