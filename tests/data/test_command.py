"""`deqlab data make | list | check` from the shell."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from deqlab.app.cli import main
from deqlab.data import write_noncartesian
from deqlab.data.simulated import SimulationConfig
from deqlab.signal.sampling.trajectories import Radial


@pytest.fixture
def shell(capsys, tmp_path, monkeypatch):
    """`shell(words...)` is (exit status, output lines, error lines) of `deqlab data`, with an empty
    cache.
    """
    monkeypatch.setenv("DEQLAB_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> tuple[int, list[str], list[str]]:
        status = main(["data", *map(str, words)])
        output, errors = capsys.readouterr()
        return status, output.splitlines(), errors.splitlines()

    return run


SMALL = (
    "--matrix",
    24,
    "--coils",
    2,
    "--slices",
    1,
    "--volumes",
    1,
    0,
    1,
    "--noise",
    0.01,
    0.02,
    "--seed",
    3,
    "--oversampling",
    1,
)


def test_make_fills_the_cache_that_the_library_reads(shell, tmp_path):
    status, output, errors = shell("make", *SMALL)
    assert (status, errors) == (0, []) and output[0].startswith("2 volumes in ")
    from deqlab.data.simulated import builtin

    config = SimulationConfig(
        matrix=24, coils=2, slices=1, volumes=(1, 0, 1), noise=(0.01, 0.02), seed=3, oversampling=1
    )
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.h5")}
    assert {path for split in ("train", "test") for path in builtin(split, config)} == set(
        made
    ) and len(made) == 2
    assert {path: path.stat().st_mtime_ns for path in made} == made  # found, not made again
    status, output, _ = shell("list")
    assert (
        status == 0
        and len(output) == 4
        and "24x24" in output[2]
        and "AXT1" in output[2]
        and "full" in output[2]
    )
    assert shell("check", *made)[0] == 0


def test_make_fills_a_folder_with_one_part(shell, tmp_path):
    status, output, _ = shell("make", *SMALL, "--out", tmp_path / "mine", "--split", "test")
    assert status == 0 and output == [f"1 volume in {tmp_path / 'mine'}"]
    assert [path.name for path in (tmp_path / "mine").glob("*.h5")] == ["test_000_AXT1.h5"]
    assert not (tmp_path / "cache").exists()


def test_list_shows_masks_and_goes_on_after_a_bad_file(shell, raw_file, center_mask, tmp_path):
    mask = center_mask(20)
    raw_file("b.h5", mask=mask)
    raw_file("c.h5", coils=None)
    (tmp_path / "a.h5").write_text("no")
    status, output, _ = shell("list", tmp_path)
    assert status == 0 and "not a readable HDF5 file" in output[2]
    assert (
        f"mask, {1 / mask.mean():.1f}x" in output[3]
        and "32x20" in output[3]
        and "16x18" in output[3]
        and "full" in output[4]
    )


def test_list_shows_files_off_the_grid(shell, tmp_path):
    points = Radial(6).sample((12, 10)).numpy()
    kspace = np.ones((2, 3, len(points)), complex)
    write_noncartesian(tmp_path / "spokes.h5", kspace, points, (12, 10), contrast="AXT2")
    status, output, errors = shell("list", tmp_path)
    assert (status, errors) == (0, [])
    for words in ("AXT2", str(len(points)), "12x10", f"trajectory, {120 / len(points):.1f}x"):
        assert words in output[2]
    assert shell("check", tmp_path)[1] == [f"{tmp_path / 'spokes.h5'}: sound"]


def test_list_of_an_empty_cache_says_what_to_do(shell):
    assert shell("list")[1] == [
        "no simulated data set in the cache yet; `deqlab data make` makes one"
    ]


def test_check_names_every_defect_of_every_file(shell, raw_file, tmp_path):
    def ruin(file: h5py.File) -> None:
        file["kspace"][0, 0, 0, 0] = np.nan
        del file["ismrmrd_header"]

    raw_file("bad.h5", change=ruin)
    raw_file("good.h5")
    status, output, errors = shell("check", tmp_path, tmp_path / "none.h5")
    assert status == 1 and errors == []
    assert output[0].endswith("bad.h5: 2 defects") and {line[:4] for line in output[1:3]} == {
        "  - "
    }
    assert (
        output[3].endswith("good.h5: sound")
        and output[5] == "  - no such file"
        and output[-1] == "1 of 3 files are sound"
    )
    assert shell("check", tmp_path / "good.h5")[0] == 0


@pytest.mark.parametrize(
    "words, message",
    [
        (("make", "--noise", 1, 2, 3), "--noise: 3 numbers given"),
        (("make", "--noise", -1), "noise"),
        (("make", "--matrix", 3), "matrix is 3"),
        (("make", "--coil", 3), "did you mean --coils"),
        (("made",), "did you mean make"),
        (("check",), "PATH"),
        ((), "make|list|check"),
        (("list", "/nowhere/at/all.h5"), None),
    ],
)
def test_wrong_words_are_one_line(shell, words, message):
    status, output, errors = shell(*words)
    if message is None:  # listed with its defect
        assert status == 0 and "no such file" in output[2]
    else:
        assert status == 2 and len(errors) == 1 and message in errors[0]
