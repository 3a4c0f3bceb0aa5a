"""Scans of an ellipse with a smooth phase, by numpy and h5py alone, one story each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from deqlab.core.errors import DeqlabWarning
from deqlab.data import open_volume

SIDE, COILS = 64, 4


def transform(image: np.ndarray) -> np.ndarray:
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes), norm="ortho"), axes)


def coil_maps(rows: int = SIDE, columns: int = SIDE, coils: int = COILS) -> np.ndarray:
    """complex (coil, y, x), sum |c|^2 = 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    maps = []
    for angle in 2 * np.pi * np.arange(coils) / coils + 0.3:
        distance = (y - 1.2 * np.sin(angle)) ** 2 + (x - 1.2 * np.cos(angle)) ** 2
        maps.append(np.exp(-distance / 2.2 + 1j * (angle + 0.6 * x * np.cos(angle))))
    found = np.array(maps)
    return found / np.sqrt((abs(found) ** 2).sum(0))


def head(rows: int = SIDE, columns: int = SIDE, at: tuple[float, float] = (0, 0)) -> np.ndarray:
    """complex (y, x): ellipses in an ellipse, centred at `at`."""
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    y, x = y - at[0], x - at[1]
    image = 1.0 * ((x / 0.6) ** 2 + (y / 0.8) ** 2 < 1) - 0.5 * ((x / 0.2) ** 2 + y**2 / 0.1 < 1)
    image += 0.4 * (((x - 0.3) / 0.1) ** 2 + ((y + 0.3) / 0.15) ** 2 < 1)
    return image * np.exp(1j * (0.5 * np.sin(2 * x) + 0.4 * y))


def kspace(
    rows: int = SIDE,
    columns: int = SIDE,
    coils: int = COILS,
    slices: int = 3,
    noise: float = 0.004,
    at: tuple[float, float] = (0, 0),
) -> np.ndarray:
    """complex64 (slices, coil, rows, columns)."""
    rng = np.random.default_rng(0)
    maps = coil_maps(rows, columns, coils) if coils > 1 else np.ones((1, rows, columns))
    samples = np.repeat(transform(head(rows, columns, at) * maps)[None], slices, 0)
    parts = rng.standard_normal((*samples.shape, 2))
    return (samples + noise * (parts[..., 0] + 1j * parts[..., 1])).astype(np.complex64)


def lines(columns: int = SIDE, step: int = 4, center: int = 10) -> np.ndarray:
    """A mask: the centre and every `step`-th column, bool (columns,)."""
    mask = np.arange(columns) % step == 1
    mask[columns // 2 - center // 2 : columns // 2 + center // 2] = True
    return mask


def header(
    encoded: tuple[int, int] = (SIDE, SIDE),
    recon: tuple[int, int] | None = None,
    center: int | None = None,
    maximum: int | None = None,
    receivers: int = COILS,
    rows: tuple[int, int] | None = None,
) -> bytes:
    """rows: (center, maximum) of the readout."""

    def space(name: str, size: tuple[int, int]) -> str:
        return f"<{name}><matrixSize><x>{size[0]}</x><y>{size[1]}</y><z>1</z></matrixSize></{name}>"

    def limits(step: int, middle: int, last: int) -> str:
        name = f"kspace_encoding_step_{step}"
        values = f"<minimum>0</minimum><maximum>{last}</maximum><center>{middle}</center>"
        return f"<{name}>{values}</{name}>"

    middle = encoded[1] // 2 if center is None else center
    last = encoded[1] - 1 if maximum is None else maximum
    return (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><acquisitionSystemInformation>'
        f"<receiverChannels>{receivers}</receiverChannels></acquisitionSystemInformation><encoding>"
        + space("encodedSpace", encoded)
        + space("reconSpace", recon or encoded)
        + "<encodingLimits>"
        + (limits(0, *rows) if rows else "")
        + limits(1, middle, last)
        + "</encodingLimits></encoding></ismrmrdHeader>"
    ).encode()


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """`stored(kspace, name=..., attrs={...}, mask=...)`: an HDF5 file; a header that fits unless
    `ismrmrd_header` is given, None for none.
    """

    def write(samples: np.ndarray, name: str = "scan.h5", attrs=None, **fields) -> Path:
        fields = {"ismrmrd_header": header()} | fields
        with h5py.File(tmp_path / name, "w") as file:
            file["kspace"] = samples.astype(np.complex64)
            for key, value in fields.items():
                if value is not None:
                    file[key] = value
            file.attrs["acquisition"] = "AXT2"
            file.attrs.update(attrs or {})
        return tmp_path / name

    return write


@pytest.fixture
def told() -> Callable[[Path], list[str]]:
    """`told(path)`: what is warned of on opening a file and reading all its slices."""

    def open_and_read(path: Path) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            volume = open_volume(path)
            for index in range(volume.slices):
                volume.kspace(index)
        return [
            str(one.message)
            for one in caught
            if issubclass(one.category, DeqlabWarning)
            and "no ismrmrd_header" not in str(one.message)
        ]

    return open_and_read
