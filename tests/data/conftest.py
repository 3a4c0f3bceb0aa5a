"""Files in fastMRI's schema from h5py and numpy alone: no reader is tested by its own writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

HEADER = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <encoding>
    <encodedSpace><matrixSize><x>{rows}</x><y>{columns}</y><z>1</z></matrixSize></encodedSpace>
    <reconSpace><matrixSize><x>{height}</x><y>{width}</y><z>1</z></matrixSize></reconSpace>
    <encodingLimits><kspace_encoding_step_1>
      <minimum>0</minimum><maximum>{maximum}</maximum><center>{center}</center>
    </kspace_encoding_step_1></encodingLimits>
  </encoding>
</ismrmrdHeader>"""


def transform(image: np.ndarray, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Centred orthonormal FFT, by numpy."""
    return np.fft.fftshift(
        np.fft.fftn(np.fft.ifftshift(image, axes), axes=axes, norm="ortho"), axes
    )


def middle(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The centre of the last two axes."""
    top, left = image.shape[-2] // 2 - height // 2, image.shape[-1] // 2 - width // 2
    return image[..., top : top + height, left : left + width]


@dataclass
class RawFile:
    """A file and the truth it was made of.

    images: complex128 (slices, coil, rows, columns). target: (slices, h, w).
    """

    path: Path
    images: np.ndarray
    kspace: np.ndarray
    target: np.ndarray
    recon: tuple[int, int]


@pytest.fixture
def raw_file(tmp_path: Path) -> Callable[..., RawFile]:
    """`raw_file(name, slices=..., ...)` writes a fully sampled volume of smooth blobs.

    coils=None writes no coil axis. mask makes a masked file.
    `change(file)` edits the open HDF5 file at the end: a test writes its own defect there.
    """

    def write(
        name: str = "volume.h5",
        slices: int = 2,
        coils: int | None = 3,
        rows: int = 32,
        columns: int = 20,
        recon: tuple[int, int] = (16, 18),
        padding: tuple[int, int] = (0, 0),
        intensity: float = 1e-4,
        mask: np.ndarray | None = None,
        dtype: type = np.complex64,
        change: Callable[[h5py.File], None] | None = None,
    ) -> RawFile:
        rng = np.random.default_rng(7)
        y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
        images = np.empty((slices, coils or 1, rows, columns), complex)
        for position in range(slices):
            head = sum(
                rng.uniform(0.5, 1)
                * np.exp(
                    -(((y - rng.uniform(-0.2, 0.2)) / 0.15) ** 2)
                    - ((x - rng.uniform(-0.4, 0.4)) / 0.3) ** 2
                )
                for _ in range(4)
            ) * np.exp(1j * (x + 0.5 * y))
            for coil in range(coils or 1):
                angle = 2 * np.pi * coil / (coils or 1)
                map_ = (
                    np.exp(0.5 * (x * np.cos(angle) + y * np.sin(angle)) + 1j * (angle + 0.3 * x))
                    if coils
                    else 1.0
                )
                images[position, coil] = intensity * head * map_
        kspace = transform(images)
        left, right = padding[0], columns - padding[1]
        kspace[..., :left], kspace[..., right:] = 0, 0
        images = np.fft.fftshift(
            np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho"), (-2, -1)
        )
        target = middle(np.sqrt((np.abs(images) ** 2).sum(1)), *recon)
        stored = (kspace if mask is None else np.where(mask, kspace, 0)).astype(dtype)

        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file["kspace"] = stored if coils else stored[:, 0]
            header = HEADER.format(
                rows=rows,
                columns=columns,
                height=recon[0],
                width=recon[1],
                center=columns // 2 - left,
                maximum=right - left - 1,
            )
            file["ismrmrd_header"] = header.encode()
            if mask is None:
                file["reconstruction_rss" if coils else "reconstruction_esc"] = target.astype(
                    np.float32
                )
                file.attrs["max"] = float(target.astype(np.float32).max())
                file.attrs["norm"] = float(np.linalg.norm(target))
            else:
                file["mask"] = mask
            file.attrs["acquisition"] = "AXT2"
            file.attrs["patient_id"] = "0123"
            if change is not None:
                change(file)
        return RawFile(path, images, kspace, target, recon)

    return write


@pytest.fixture
def center_mask() -> Callable[..., np.ndarray]:
    """`center_mask(columns, lines, step)`: the centre `lines` and every `step`-th column, bool
    (columns,).
    """

    def make(columns: int, lines: int = 6, step: int = 4) -> np.ndarray:
        mask = np.zeros(columns, bool)
        mask[::step] = True
        mask[columns // 2 - lines // 2 : columns // 2 - lines // 2 + lines] = True
        return mask

    return make
