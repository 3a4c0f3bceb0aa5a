"""Options as words: typed by the option itself, refused with the nearest valid one, and of trained
weights only those that belong to the user.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.cli import main
from deqlab.app.shell import settings
from deqlab.core.errors import InputError
from deqlab.data.dataset import SliceDataset
from deqlab.recon import create, load
from deqlab.recon.sparse.wavelet import WaveletFISTA
from deqlab.recon.weights import ready, save
from deqlab.signal.sampling.masks import mask_rules


def test_words_become_options_of_the_right_type() -> None:
    words = {
        "weight": "1",
        "wavelet": "sym8",
        "wavelet.levels": "3",
        "spinning.shifts": "4",
        "max_evaluations": "7",
    }
    model = ready("wavelet", words)
    assert isinstance(model, WaveletFISTA) and (model.weight, model.max_evaluations) == (1.0, 7)
    assert (model.wavelet.name, model.wavelet.levels, model.spinning.shifts) == ("sym8", 3, 4)
    assert ready("wavelet", {"wavelet.levels": "None"}).wavelet.levels is None
    assert ready("grappa", {"kernel": "(3, 4)"}).kernel == (3, 4)
    assert ready("tv").weight == ready("tv", {}).weight


def test_a_word_belongs_to_its_model() -> None:
    assert settings(["weight=0.1", "wavelet.levels=2"], ["tv"]) == {
        "tv": {"weight": "0.1", "wavelet.levels": "2"}
    }
    assert settings(["tv.weight=0.1", "wavelet.wavelet.levels=2"], ["wavelet", "tv"]) == {
        "wavelet": {"wavelet.levels": "2"},
        "tv": {"weight": "0.1"},
    }
    assert settings([], ["wavelet"]) == {"wavelet": {}}


def test_an_option_that_is_called_as_its_model_is_reached_with_and_without_its_name() -> None:
    for word in ("wavelet.levels=2", "wavelet.wavelet.levels=2"):
        words = settings([word], ["wavelet"])["wavelet"]
        assert ready("wavelet", words).wavelet.levels == 2


@pytest.mark.parametrize(
    "words, models, expected",
    [
        (["weight"], ["tv"], ["--set weight", "NAME=VALUE"]),
        (["=1"], ["tv"], ["--set =1", "NAME=VALUE"]),
        (["weight=1"], ["wavelet", "tv"], ["of which of wavelet, tv", "wavelet.weight=1"]),
        (["wavlet.weight=1"], ["wavelet", "tv"], ["wavlet", "did you mean wavelet?"]),
    ],
)
def test_words_that_name_nothing(words: list[str], models: list[str], expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        settings(words, models)
    assert all(word in str(error.value) for word in expected)


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("wavelet", {"weigth": "1"}, ["'weigth'", "did you mean weight?"]),
        ("wavelet", {"weight": "much"}, ["weight", "'much'", "a finite number >= 0 needed"]),
        ("wavelet", {"weight": "True"}, ["weight: True given", "a finite number >= 0 needed"]),
        ("wavelet", {"wavelet.levels": "2.5"}, ["levels: 2.5 given", "a whole number"]),
        (
            "small-de-grad",
            {"weight": "1"},
            ["weight: small-de-grad", "trained weights", "may be set: nothing"],
        ),
        ("tv", {"solver": "andersen"}, ["solver", "'andersen'", "did you mean anderson?"]),
        ("tv", {"solver.memory": "few"}, ["solver.memory: 'few' given", "a whole number"]),
        ("tv", {"weight.size": "1"}, ["weight.size", "no options of its own"]),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict, expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        ready(name, options)
    assert all(word in str(error.value) for word in expected), str(error.value)


def test_the_shell_reconstructs_and_evaluates_with_options(
    tiny_data, tmp_path: Path, capsys
) -> None:
    source, out = str(tiny_data["test"][0]), str(tmp_path / "out.h5")
    for name, options in (("wavelet", ["weight=0.01", "wavelet=haar"]), ("tv", ["weight=0.01"])):
        words = [word for option in options for word in ("--set", option)]
        assert main(["reconstruct", source, out, "--model", name, *words]) == 0
        assert "converged" in capsys.readouterr().out
    words = ["--model", "wavelet", "tv", "--set", "tv.weight=0.01", "--acceleration", "4"]
    words += ["--baselines", "none"]
    assert main(["evaluate", "--data", source, *words]) == 0
    assert capsys.readouterr().out.count("%") >= 2
    assert main(["reconstruct", source, out, "--model", "tv", "--set", "wieght=1"]) == 2
    assert "did you mean weight?" in capsys.readouterr().err


@pytest.fixture
def card(tmp_path: Path) -> str:
    """The card of trained weights that have an option which may be set."""
    torch.manual_seed(0)
    model = create("de-grad-measured", denoiser={"name": "dncnn", "depth": 2, "width": 2})
    for parameter in model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save(model, tmp_path / "mine.json", {})
    return str(tmp_path / "mine.json")


def test_trained_weights_let_their_user_choose_the_strength(
    card: str, tiny_data, tmp_path: Path
) -> None:
    plain, halved = load(card), load(card, {"strength": 0.5})
    assert halved.options == replace(plain.options, strength=0.5)
    sample = SliceDataset(tiny_data["test"][:1], mask_rules(["random"], [4]), slices="all")[0]
    y, A = sample.kspace[None], sample.operator
    weights = [model.fixed_point_map(y, A).weight for model in (plain, halved)]
    torch.testing.assert_close(weights[1], weights[0] / 2)
    source, images = str(tiny_data["test"][0]), []
    for number, words in enumerate(([], ["--set", "strength=0.5"], ["--set", "strength=1"])):
        out = tmp_path / f"{number}.h5"
        assert main(["reconstruct", source, str(out), "--model", card, *words]) == 0
        with h5py.File(out) as file:
            images.append(file["reconstruction"][:])
    assert np.array_equal(images[0], images[2]) and not np.allclose(images[0], images[1])


def test_two_cards_of_one_name_are_both_judged(card: str, tiny_data, tmp_path: Path) -> None:
    other, table = tmp_path / "other", tmp_path / "table.json"
    other.mkdir()
    save(load(card, {"strength": 0.5}), other / "mine.json", {})
    words = ["--data", str(tiny_data["test"][0]), "--acceleration", "4", "--baselines", "none"]
    words += ["--model", card, str(other / "mine.json"), "--set", f"{card}.strength=2"]
    assert main(["evaluate", *words, "--json", str(table)]) == 0
    rows = json.loads(table.read_text())["rows"]
    assert [row["method"] for row in rows] == [card, str(other / "mine.json")]
    assert rows[0]["psnr"] != rows[1]["psnr"]


@pytest.mark.parametrize(
    "words, expected",
    [
        ({"denoiser.width": "3"}, ["denoiser.width: ", "fix its options", "may be set: strength"]),
        ({"strength": "1", "step": "2"}, ["step: ", "may be set: strength"]),
        ({"strenght": "1"}, ["'strenght'", "did you mean strength?"]),
        ({"strength": "-1"}, ["strength: -1 given", "> 0 needed"]),
    ],
)
def test_what_trained_weights_fix_is_refused(card: str, words: dict, expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        ready(card, words)
    assert all(word in str(error.value) for word in expected), str(error.value)
    assert "\n" not in str(error.value)
