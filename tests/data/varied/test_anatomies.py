"""Anatomies are made once, from simulated heads and from volumes that are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.data.varied import anatomies
from deqlab.data.varied.anatomies import AnatomyOptions, head_slices


def test_water_and_fat_of_a_head_are_apart() -> None:
    first, again = (head_slices(1, 1, 48, seed=5) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and first[0].dtype == np.float16
    water, fat = first[0].astype(np.float32)
    assert (water + fat).max() == pytest.approx(1, abs=2e-3) and min(water.min(), fat.min()) >= 0
    assert fat.max() > 0.05 and water.max() > 0.3
    # Fat lies in the scalp and the marrow, not in the middle of the brain.
    assert fat[20:28, 20:28].max() < 0.01
    assert not np.array_equal(head_slices(2, 1, 48, seed=5)[0], first[0])


def test_a_volume_is_cut_in_all_planes_and_kept(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = AnatomyOptions(heads=0, files=(str(volume),), slices_of_file=12)
    found = chosen.load(tmp_path / "cache")
    assert len(found) == 12
    assert {pair.shape for pair in found.pairs} == {(2, 24, 16), (2, 20, 16), (2, 20, 24)}
    assert all(pair[0].max() > 0.5 and not pair[1].any() for pair in found.pairs)
    assert all(float(pair[0, 0, 0]) == 0 for pair in found.pairs), "air is dark"
    monkeypatch.setattr(anatomies, "volume_slices", None)
    again = chosen.load(tmp_path / "cache")
    assert all(np.array_equal(a, b) for a, b in zip(found.pairs, again.pairs))


def test_other_options_are_other_slices(volume: Path, tmp_path: Path) -> None:
    few = AnatomyOptions(heads=0, files=(str(volume),), slices_of_file=3)
    other = AnatomyOptions(heads=0, files=(str(volume),), slices_of_file=3, seed=1)
    pairs = [chosen.load(tmp_path / "cache").pairs for chosen in (few, other)]
    assert not all(np.array_equal(a, b) for a, b in zip(*pairs))
    (kept,) = {path.parent for path in (tmp_path / "cache").rglob("*.safetensors")}
    for path in kept.iterdir():
        path.write_bytes(b"cut short")
    with pytest.raises(InputError, match="anatomies.*remove it"):
        few.load(tmp_path / "cache")


def test_what_is_no_volume_is_named(tmp_path: Path) -> None:
    import nibabel

    def load(path: Path) -> None:
        AnatomyOptions(heads=0, files=(str(path),), slices_of_file=2).load(tmp_path)

    with pytest.raises(InputError, match="missing.nii: no such file"):
        load(tmp_path / "missing.nii")
    (tmp_path / "text.nii").write_text("no volume")
    with pytest.raises(InputError, match="text.nii: no volume can be read"):
        load(tmp_path / "text.nii")
    for name, values, words in (
        ("four.nii", np.ones((4, 4, 4, 2)), "one volume of magnitudes"),
        ("minus.nii", -np.ones((4, 4, 4)), "negative"),
        ("empty.nii", np.zeros((4, 4, 4)), "hardly a slice"),
    ):
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)), tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: .*{words}"):
            load(tmp_path / name)
    with pytest.raises(InputError, match="heads: 0 given and no files"):
        AnatomyOptions(heads=0)
