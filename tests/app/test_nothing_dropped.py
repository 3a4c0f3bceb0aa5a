"""What is said twice is refused or done twice: no word on the command line is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from deqlab.app.cli import main
from deqlab.app.shell import labels
from deqlab.core.errors import InputError
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.signal.sampling.masks import default_center_fraction
from deqlab.training.config import TrainingConfig


@pytest.mark.parametrize(
    "words, named",
    [
        ("reconstruct a.h5 b.h5 --model x --seed=1 --seed 2", "--seed: 1 and 2"),
        ("reconstruct a.h5 b.h5 --model x --slices 1 --slices 2", "--slices: 1 and 2"),
        ("train --model de-grad --model mol", "--model: de-grad and mol"),
        ("train --out a --epochs 3 --out b", "--out: a and b"),
        ("evaluate --json a --json b", "--json: a and b"),
    ],
)
def test_an_option_of_one_value_is_given_once(capsys, words: str, named: str) -> None:
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line and "one needed" in line


@pytest.mark.parametrize(
    "models, found",
    [
        (["a/x.json", "de-grad"], ["x", "de-grad"]),
        (["a/x.json", "b/x.json", "c/x.json"], ["a/x.json", "b/x.json", "c/x.json"]),
        (["runs/de-grad.json", "de-grad"], ["runs/de-grad.json", "de-grad"]),
        (["de-grad", "runs/de-grad.json"], ["de-grad", "runs/de-grad.json"]),
    ],
)
def test_models_of_one_name_are_all_judged(models: list[str], found: list[str]) -> None:
    assert list(labels(models).values()) == found and list(labels(models)) == models


def test_a_method_called_like_a_tuned_one_is_refused_before_the_work() -> None:
    """Else one of the two would take the other's place in the table."""
    methods = {"tuned cg-sense": ZeroFilled()}
    with pytest.raises(InputError, match="'tuned cg-sense' names a method and a tuned one alike"):
        evaluate(methods, [Path("no.h5")], baselines={4.0: {"tuned cg-sense": ZeroFilled()}})


def test_a_model_given_twice_is_refused(capsys) -> None:
    with pytest.raises(InputError, match="x.json is given 2 times"):
        labels(["x.json", "y.json", "x.json"])
    for words in (["evaluate"], ["reconstruct", "no.h5", "o.h5"]):
        assert main([*words, "--model", "cg-sense", "cg-sense"]) == 2
        assert "cg-sense is given 2 times" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["o.dcm", "o.MAT", "o.gz", "o.npy.gz", "o.nii.xz", "o.tar.xz"])
def test_an_ending_of_another_format_is_refused_before_the_input_is_read(capsys, name) -> None:
    assert main(["reconstruct", "no.h5", name, "--model", "cg-sense"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        f"{name}: {name[1:]} given" in line
        and ".h5, .hdf5, .npy, .nii, .nii.gz or .png needed" in line
    )


@pytest.mark.parametrize(
    "name", ["o.h5", "o.HDF5", "o", "folder.v2/o", "o.NII.gz", "o.v2.npy", "o.png"]
)
def test_endings_of_what_is_written_pass(capsys, name: str) -> None:
    assert main(["reconstruct", "no.h5", name, "--model", "cg-sense"]) == 2
    assert "no.h5" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [0, 0.5, -4, float("nan"), float("inf")])
def test_an_acceleration_below_one_is_one_line_everywhere(capsys, rate: float) -> None:
    for make in (
        lambda: default_center_fraction(rate),
        lambda: Conditions(acceleration=(4, rate)),
        lambda: Conditions(acceleration=(rate,), center_fraction=0.1),
        lambda: TrainingConfig(acceleration=(rate, 8)),
    ):
        with pytest.raises(InputError, match="acceleration"):
            make()
    for command in ("evaluate", "train"):
        assert main([command, "--data", "nowhere", f"--acceleration={rate}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "acceleration" in line and "nowhere" not in line
    assert not Path("runs").exists()
