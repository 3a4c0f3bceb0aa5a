"""Files that are unusual and sound: their images are those of the usual file, and what is odd is
told.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

SHAPE = (2, 4, 48, 40)


def kspace() -> np.ndarray:
    """Blobs seen by four coils with weak noise, complex128 (slices, coils, rows, columns)."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1 : 1 : SHAPE[2] * 1j, -1 : 1 : SHAPE[3] * 1j]
    head = np.exp(-((y / 0.4) ** 2) - (x / 0.5) ** 2) + (abs(y) + abs(x) < 0.4)
    turns = np.arange(4)[:, None, None] * np.pi / 2
    coils = np.exp(0.5 * (x * np.cos(turns) + y * np.sin(turns)) + 1j * (turns + 0.3 * x))
    images = head * coils * np.array([1, 0.8])[:, None, None, None]
    samples = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, (2, 3)), norm="ortho"), (2, 3))
    return samples + 0.002 * rng.standard_normal((*SHAPE, 2)) @ (1, 1j)


def hdf5(change: Callable[[np.ndarray], np.ndarray], **options: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with h5py.File(folder / "odd.h5", "w") as file:
            file.create_dataset("kspace", data=change(kspace()), **options)
        return folder / "odd.h5"

    return write


def emptied(samples: np.ndarray) -> np.ndarray:
    samples[0] = 0
    return samples


def deaf(samples: np.ndarray) -> np.ndarray:
    samples[:, 3] = 0
    return samples


def numpy_file(folder: Path) -> Path:
    np.save(folder / "odd.npy", np.asfortranarray(kspace()))
    return folder / "odd.npy"


def bart_files(folder: Path) -> Path:
    (folder / "odd.hdr").write_text("# Dimensions\n48 40 1 4 1 1 1 1 1 1 1 1 1 2\n")
    kspace().transpose(2, 3, 1, 0).astype(np.complex64).flatten("F").tofile(folder / "odd.cfl")
    return folder / "odd.cfl"


def matlab_file(folder: Path) -> Path:
    savemat(folder / "odd.mat", {"k": kspace()})
    return folder / "odd.mat"


# What to write, what is told beside the missing header, how far the image may be from the control.
ODD = {
    "double precision": (hdf5(np.asarray), "", 1e-4),
    "big-endian": (hdf5(lambda samples: samples.astype(">c8")), "", 1e-4),
    "tiny units": (hdf5(lambda samples: samples * 1e-12), "", 1e-4),
    "huge units": (hdf5(lambda samples: samples * 1e12), "", 1e-4),
    "negated": (hdf5(np.negative), "", 1e-4),
    "compressed": (hdf5(np.asarray, compression="gzip", shuffle=True), "", 1e-4),
    "zero frequency first": (hdf5(lambda k: np.fft.ifftshift(k, (2, 3))), "middle", 1e-2),
    "three columns off": (hdf5(lambda samples: np.roll(samples, 3, 3)), "middle", 5e-2),
    "a dead coil": (hdf5(deaf), "", 0.2),
    "an empty slice": (hdf5(emptied), "1 of 2 slices hold only zeros (first: slice 0)", 1e-4),
    "Fortran order": (numpy_file, "", 1e-4),
    "BART": (bart_files, "", 1e-4),
    "MATLAB": (matlab_file, "", 1e-4),
}


def image(shell, path: Path, out: Path) -> tuple[np.ndarray, list[str]]:
    """The second slice in units of its largest value, and what was told."""
    words = ("--model", "cg-sense", "--acceleration", 2, "--seed", 1)
    status, _, errors = shell(path, out, *words)
    assert status == 0, errors
    with h5py.File(out) as file:
        found = np.array(file["reconstruction"][1], float)
    return found / found.max(), errors


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_gives_the_image_of_the_usual_one(shell, tmp_path: Path, name: str) -> None:
    write, told, bound = ODD[name]
    (tmp_path / "usual").mkdir()
    usual = hdf5(lambda samples: samples.astype(np.complex64))(tmp_path / "usual")
    expected, before = image(shell, usual, tmp_path / "expected.h5")
    found, after = image(shell, write(tmp_path), tmp_path / "found.h5")
    assert np.linalg.norm(found - expected) < bound * np.linalg.norm(expected)
    further = [line for line in after if "no ismrmrd_header" not in line]
    assert all("no ismrmrd_header" in line for line in before), before
    assert bool(further) == bool(told) and all(told in line for line in further), further


def test_nothing_but_zeros_is_told(shell, tmp_path: Path) -> None:
    path = hdf5(np.zeros_like)(tmp_path)
    found = shell(path, tmp_path / "out.h5", "--model", "cg-sense")
    assert found[0] == 0
    assert "2 of 2 slices hold only zeros (first: slice 0), and so do their images" in found[2][-1]
