"""What validation needs is checked before anything is trained, and short volumes are enough."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.data import write_volume
from deqlab.evaluation.validation import validator
from deqlab.recon import create


def kspace(slices: int = 3, columns: int = 24) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (slices, 2, 32, columns)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.fixture
def model():
    from deqlab.networks import DnCNN

    return create("de-prox", denoiser=DnCNN.Options(depth=2, width=4)).eval()


@pytest.mark.parametrize("slices", [1, 2, 3, 4, 5, 6])
def test_a_volume_of_any_length_is_validated_on(tmp_path: Path, model, slices: int) -> None:
    file = write_volume(tmp_path / "a.h5", kspace(slices), "AXT2", (32, 24))
    found = validator([file], (4,), "random")(model)
    assert np.isfinite(found["val_psnr_4x"])


def test_volumes_of_different_length_are_validated_together(tmp_path: Path, model) -> None:
    files = [
        write_volume(tmp_path / f"{slices}.h5", kspace(slices), "AXT2", (32, 24))
        for slices in (1, 6)
    ]
    both = validator(files, (4,), "random")(model)["val_psnr_4x"]
    each = [validator([file], (4,), "random")(model)["val_psnr_4x"] for file in files]
    assert both == pytest.approx(np.mean(each))


def masked(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        keep = np.arange(24) % 2 == 0
        file["mask"] = keep
        file["kspace"][...] *= keep


def unmarked(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["kspace"][...] *= np.arange(24) % 2 == 0


def empty(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["kspace"][...] *= 0
        for name in [name for name in file if name.startswith("reconstruction")]:
            del file[name]


def not_finite(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["kspace"][2, 0, 3, 3] = np.nan


@pytest.mark.parametrize(
    "spoil, words",
    [
        (masked, "is undersampled .*validation needs fully sampled files"),
        (unmarked, "looks undersampled"),
        (empty, "is empty"),
        (not_finite, "slice 2"),
    ],
)
def test_what_cannot_be_validated_on_is_refused_at_once(tmp_path: Path, spoil, words) -> None:
    good = write_volume(tmp_path / "good.h5", kspace(), "AXT2", (32, 24))
    bad = write_volume(tmp_path / "bad.h5", kspace(), "AXT2", (32, 24))
    spoil(bad)
    with pytest.raises(InputError, match=f"bad.h5.*{words}") as error:
        validator([good, bad], (4, 8), "random")
    assert "None" not in str(error.value) and "\n" not in str(error.value)
