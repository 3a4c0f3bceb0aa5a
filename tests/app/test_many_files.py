"""`deqlab reconstruct` of folders and lists: a result for each file, in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from deqlab.app.many_files import results_of
from deqlab.core.errors import InputError
from deqlab.data import write_volume

WORDS = ("--model", "cg-sense", "--acceleration", 2)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with two scans of different objects, and one that is no HDF5 at all."""
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for number, name in enumerate(("one.h5", "two.h5"), 1):
        images = 0.02 * rng.standard_normal((1, 24, 20)) + 0j
        images[:, 6:18, 5 : 5 * (1 + number)] += number
        axes = (-2, -1)
        samples = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes), norm="ortho"), axes)
        write_volume(tmp_path / "scans" / name, samples.astype(np.complex64), "AXT2", (24, 20))
    return tmp_path / "scans"


def images(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.array(file["reconstruction"])


def test_a_folder_becomes_a_folder_and_each_file_is_as_alone(shell, scans, tmp_path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone.h5"
    status, output, errors = shell(scans, out, *WORDS)
    assert (status, errors) == (0, [])
    assert sorted(path.name for path in out.iterdir()) == ["one.h5", "two.h5"]
    assert output.splitlines()[-1] == "2 of 2 files reconstructed"
    for name in ("one.h5", "two.h5"):
        assert f"{out / name}: 1 slice of 24x20" in output
        assert shell(scans / name, alone, *WORDS)[0] == 0
        np.testing.assert_array_equal(images(out / name), images(alone))


def test_a_list_of_files_and_another_ending(shell, scans, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    words = (scans / "two.h5", scans / "one.h5", tmp_path / "out", *WORDS, "--ending", ".npy")
    assert shell(*words)[0] == 0
    assert np.load(tmp_path / "out" / "two.npy").shape == (1, 24, 20)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_one_bad_file_does_not_cost_the_others(shell, scans, tmp_path) -> None:
    (scans / "half.h5").write_text("no")
    status, output, errors = shell(scans, tmp_path / "out", *WORDS)
    assert status == 1 and output.splitlines()[-1] == "2 of 3 files reconstructed"
    assert len(errors) == 1 and "half.h5: not a readable HDF5 file" in errors[0]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["one", "two"]
    for name in ("one.h5", "two.h5"):
        (scans / name).unlink()
    assert shell(scans, tmp_path / "none", *WORDS)[0] == 1 and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("scans", "scans given; IN and OUT needed"),
        ("scans scans", "one.h5: is among the inputs; another folder"),
        ("scans gone/out", "out: cannot be made (No such file or directory)"),
        ("scans scans/one.h5", "one.h5: is a file; a folder needed"),
        ("scans/one.h5 scans/two.h5 scans/one.h5", "one.h5: is a file; a folder needed"),
        ("scans/one.h5 scans/one.h5 out", "one.h5: would be the result of"),
        ("scans out --ending .jpg", "image.jpg: .jpg given; .h5"),
        ("scans out --ending npy", "--ending: 'npy' given; one with its dot"),
        ("scans/one.h5 out.h5 --ending .npy", "--ending: .npy given, but out.h5 is the name"),
        ("scans out --quick-look a.png", "--quick-look: a.png given, but there are several"),
        ("scans out --slices x", "--slices: 'x' given"),
        ("empty out", "empty: holds no "),
    ],
)
def test_what_does_not_go_together_is_one_line(
    shell, scans, tmp_path, monkeypatch, words: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    status, _, errors = shell(*words.split(), *WORDS)
    assert status == 2 and len(errors) == 1 and told in errors[0], errors
    assert not (tmp_path / "out").exists()


def test_names_keep_their_dots(tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("a.v2.cfl", "b.nii.gz")]
    found = results_of(sources, tmp_path / "out", ".nii.gz")
    assert [path.name for path in found.values()] == ["a.v2.nii.gz", "b.nii.gz"]
    with pytest.raises(InputError, match=re.escape("a.h5: would be the result of")):
        results_of([tmp_path / "a.h5", tmp_path / "a.hdf5"], tmp_path / "out")
