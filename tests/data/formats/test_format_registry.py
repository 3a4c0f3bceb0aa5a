"""A format is one line in the registry: a toy one is then read, batched, undersampled, judged,
trained on, reconstructed and checked like the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, collate, find_files, open_volume
from deqlab.data.check import check
from deqlab.data.formats.fastmri import FastMRI
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.formats.registry import FORMATS, format_of
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate
from deqlab.recon.registry import create
from deqlab.signal.sampling.masks import RandomMask


@dataclass(frozen=True, kw_only=True)
class NumpyVolume(GridVolume):
    """k-space (slices, coils, rows, columns) in a .npy file."""

    def kspace(self, index: int) -> np.ndarray:
        return np.array(np.load(self.path, mmap_mode="r")[index])


@dataclass(frozen=True)
class NumpyFormat:
    """Files of numpy.save."""

    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def recognises(self, path: Path) -> bool:
        return path.read_bytes()[:6] == b"\x93NUMPY"

    def open(self, path: str | Path) -> NumpyVolume:
        shape = np.load(path, mmap_mode="r").shape
        return NumpyVolume(path=Path(path), shape=shape, recon_shape=(shape[2] // 2, shape[3]))


@pytest.fixture
def toy(raw_file, monkeypatch, tmp_path) -> tuple[Path, Path]:
    """The same volume in the toy format, which takes the line of the real one, and in fastMRI's."""
    monkeypatch.setitem(FORMATS._entries, "numpy", NumpyFormat)
    raw = raw_file("volume.h5", recon=(16, 20))
    path = tmp_path / "volume.npy"
    np.save(path, raw.kspace.astype(np.complex64))
    return path, raw.path


def test_one_line_makes_a_format_known(toy, tmp_path) -> None:
    path, twin = toy
    assert isinstance(open_volume(path).source, NumpyVolume) and isinstance(
        format_of(twin), FastMRI
    )
    assert find_files(tmp_path) == [twin, path]
    assert check(path) == []


def test_its_samples_are_those_of_the_same_volume_in_another_format(toy) -> None:
    one, other = (SliceDataset(path) for path in toy)
    for mine, theirs in zip(one, other):
        assert torch.equal(mine.kspace, theirs.kspace)
        assert torch.equal(mine.reference, theirs.reference)
        torch.testing.assert_close(mine.target, theirs.target)
        assert mine.maximum == pytest.approx(theirs.maximum)
    options = {"mask": RandomMask(2, 0.3), "noise": (0.0, 0.1), "max_pixels": 100}
    drawn = [
        SliceDataset(path, **options).sample(1, np.random.default_rng(0)).kspace for path in toy
    ]
    assert torch.equal(*drawn) and drawn[0].shape == (3, 5, 20)
    assert collate(list(one)).kspace.shape == (2, 3, 16, 20)


def test_it_is_judged_and_reconstructed_like_the_others(toy, tmp_path) -> None:
    path, twin = toy
    method = create("cg-sense")
    conditions = Conditions(acceleration=(2,), center_fraction=0.3)
    rows = evaluate({"sense": method}, [path, twin], conditions)
    assert [row.file for row in rows] == ["volume.npy", "volume.h5"]
    mask = RandomMask(1, 0.3)
    mine, theirs = (
        reconstruct_file(Request(each, tmp_path / "out.h5", mask), method) for each in toy
    )
    np.testing.assert_array_equal(mine.images, theirs.images)
    with pytest.raises(InputError, match="volume.npy: is fully sampled"):
        reconstruct_file(Request(path, tmp_path / "out.h5"), method)


def test_a_file_in_no_known_format_is_told_what_is_known(tmp_path, monkeypatch) -> None:
    (tmp_path / "scan.dat").write_bytes(b"\x00" * 64)
    monkeypatch.setitem(FORMATS._entries, "toy", NumpyFormat)
    with pytest.raises(InputError, match=r"scan.dat: not a readable HDF5 .* fastmri, .*toy"):
        open_volume(tmp_path / "scan.dat")


def test_content_and_not_the_name_decides(raw_file, tmp_path) -> None:
    other = tmp_path / "scan.unknown"
    other.write_bytes(raw_file().path.read_bytes())
    assert isinstance(format_of(other), FastMRI)
