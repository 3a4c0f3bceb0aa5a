"""Options as words: typed by the method's signature, refused with the nearest valid one, never for
trained weights.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from deqlab.app.options import read_options, reconstructor

from deqlab.app.cli import main
from deqlab.core.errors import InputError
from deqlab.recon.sparse.wavelet import WaveletFISTA


def test_words_become_options_of_the_right_type() -> None:
    words = {"weight": "1", "wavelet": "sym8", "levels": "3", "shifts": "4", "max_iterations": "7"}
    model = reconstructor("wavelet", words)
    assert isinstance(model, WaveletFISTA) and (model.weight, model.max_iterations) == (1.0, 7)
    assert (model.wavelet.name, model.wavelet.levels, model.spinning.shifts) == ("sym8", 3, 4)
    assert reconstructor("wavelet", {"levels": "None"}).wavelet.levels is None
    assert reconstructor("grappa", {"kernel": "(3, 4)"}).kernel == (3, 4)
    assert reconstructor("tv").weight == reconstructor("tv", {}).weight


def test_a_word_belongs_to_its_model() -> None:
    assert read_options(["weight=0.1", "levels=2"], ["wavelet"]) == {
        "wavelet": {"weight": "0.1", "levels": "2"}
    }
    assert read_options(["tv.weight=0.1"], ["wavelet", "tv"]) == {
        "wavelet": {},
        "tv": {"weight": "0.1"},
    }
    assert read_options([], ["wavelet"]) == {"wavelet": {}}


@pytest.mark.parametrize(
    "words, models, expected",
    [
        (["weight"], ["tv"], ["--option weight", "NAME=VALUE"]),
        (["weight=1"], ["wavelet", "tv"], ["of which of wavelet, tv"]),
        (["wavlet.weight=1"], ["wavelet", "tv"], ["wavlet", "did you mean wavelet?"]),
    ],
)
def test_words_that_name_nothing(words: list[str], models: list[str], expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        read_options(words, models)
    assert all(word in str(error.value) for word in expected)


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("wavelet", {"weigth": "1"}, ["'weigth'", "did you mean 'weight'?"]),
        ("wavelet", {"weight": "much"}, ["weight", "'much'", "float"]),
        ("wavelet", {"weight": "True"}, ["weight", "float"]),
        ("wavelet", {"levels": "2.5"}, ["levels", "int or None"]),
        ("de-grad", {"weight": "1"}, ["de-grad", "trained weights", "wavelet"]),
    ],
)
def test_options_that_do_not_fit(name: str, options: dict, expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        reconstructor(name, options)
    assert all(word in str(error.value) for word in expected)


def test_the_shell_reconstructs_and_evaluates_with_options(
    tiny_data, tmp_path: Path, capsys
) -> None:
    source = str(tiny_data["test"][0])
    for name, options in (("wavelet", ["weight=0.01", "wavelet=haar"]), ("tv", ["weight=0.01"])):
        words = [word for option in options for word in ("--option", option)]
        assert main(["reconstruct", source, str(tmp_path / "out.h5"), "--model", name, *words]) == 0
        assert "converged" in capsys.readouterr().out
    words = ["--model", "wavelet", "tv", "--option", "tv.weight=0.01", "--acceleration", "4"]
    assert main(["evaluate", "--data", source, *words]) == 0
    assert capsys.readouterr().out.count("%") >= 2
    assert (
        main(
            [
                "reconstruct",
                source,
                str(tmp_path / "out.h5"),
                "--model",
                "tv",
                "--option",
                "wieght=1",
            ]
        )
        == 2
    )
    assert "did you mean 'weight'?" in capsys.readouterr().err
