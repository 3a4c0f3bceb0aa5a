"""`deqlab data draws` shows what a network sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deqlab.app.cli import main
from deqlab.data.varied.anatomies import Anatomies, AnatomyOptions

TINY = ["--set", "data.measurements.sizes=24,", "--set", "data.measurements.coils=2,"]


def test_draws_become_a_picture(
    discs: Anatomies, volume: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    asked = []

    def load(self, cache):
        asked.append(self.files)
        return discs

    monkeypatch.setattr(AnatomyOptions, "load", load)
    out = tmp_path / "draws.png"
    words = ["data", "draws", str(out), "--count", "3", "--anatomy", str(volume), *TINY]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{out}\n" and asked == [(str(volume),)]
    with Image.open(out) as picture:
        first = picture.tobytes()
        assert picture.width > picture.height > 100
    assert main([*words, "--seed", "1"]) == 0
    with Image.open(out) as picture:
        assert picture.tobytes() != first
    assert main([*words, "--windows"]) == 0
    with Image.open(out) as picture:
        assert picture.tobytes() != first
    assert main(words) == 0
    with Image.open(out) as picture:
        assert picture.tobytes() == first


@pytest.mark.parametrize(
    "words, told",
    [
        (["draws.txt"], "draws.txt: a name that ends in png or pdf or svg"),
        (["missing/draws.png"], "missing does not exist"),
        (["draws.png", "--set", "weight=3"], "data.NAME=VALUE needed"),
        (["draws.png", "--set", "data.images.leafs=1"], "did you mean leaves?"),
        (["draws.png", "--anatomy", "none.nii"], "none.nii: no such file"),
        (["draws.png", "--count", "0"], "count"),
    ],
)
def test_bad_words_are_one_line(words: list[str], told: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "draws", *words]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_draws_off_the_grid_are_shown(discs: Anatomies, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(AnatomyOptions, "load", lambda self, cache: discs)
    words = ["data", "draws", str(tmp_path / "draws.png"), "--count", "1"]
    assert main([*words, "--set", "data.measurements=off-grid", *TINY]) == 0
