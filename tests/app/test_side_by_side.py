"""Several models in one call: the same samples for each, nothing of any lost."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from deqlab.core.errors import DeqlabWarning
from deqlab.data import write_volume
from deqlab.recon.registry import create
from deqlab.recon.weights import save

MODELS = ("zero-filled", "cg-sense", "tv")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Three noisy slices of a bright square, fully sampled, 24x20."""
    images = 0.02 * np.random.default_rng(0).standard_normal((3, 24, 20)) + 0j
    images[:, 6:18, 5:15] += np.arange(1, 4)[:, None, None]
    axes = (-2, -1)
    samples = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(images, axes), norm="ortho"), axes
    ).astype(np.complex64)
    return write_volume(tmp_path / "in.h5", samples, "AXT2", (24, 20))


def test_each_model_has_the_images_that_it_has_alone(scan, tmp_path, shell) -> None:
    out = tmp_path / "out.h5"
    words = ("--acceleration", 2, "--seed", 3)
    status, output, errors = shell(scan, out, "--model", *MODELS, *words)
    assert (status, errors) == (0, [])
    with h5py.File(out) as file:
        assert set(file["reconstruction"]) == set(MODELS)
        assert file.attrs["model"] == "zero-filled, cg-sense, tv" and file["mask"].shape == (20,)
        found = {name: file["reconstruction"][name][()] for name in MODELS}
        told = {name: dict(file["reconstruction"][name].attrs) for name in MODELS}
    for name in MODELS:
        assert f"{out}: {name}: 3 slices of 24x20" in output
        assert told[name]["model"] == name and told[name]["slices"].tolist() == [0, 1, 2]
        assert shell(scan, tmp_path / "one.h5", "--model", name, *words)[0] == 0
        with h5py.File(tmp_path / "one.h5") as file:
            np.testing.assert_array_equal(found[name], file["reconstruction"])
            assert file.attrs["model"] == name
    assert not np.allclose(found["zero-filled"], found["tv"], rtol=1e-3)


def test_two_cards_of_one_name_are_two(scan, tmp_path, shell) -> None:
    cards = []
    for number in (1, 2):
        (tmp_path / f"run{number}").mkdir()
        denoiser = {"name": "dncnn", "depth": 2, "width": 2, "lipschitz": 0.5}
        model = create("de-grad", denoiser=denoiser, step=0.2 * number)
        cards.append(tmp_path / f"run{number}" / "de-grad.json")
        save(model, cards[-1], {})
    out = tmp_path / "out.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        assert shell(scan, out, "--model", *cards, "--acceleration", 2)[0] == 0
    with h5py.File(out) as file:
        first, second = file["reconstruction"].values()
        assert {one.attrs["model"] for one in (first, second)} == set(map(str, cards))
        assert len(first.attrs["converged"]) == 3
        assert first.attrs["residual"].tolist() != second.attrs["residual"].tolist()


@pytest.mark.parametrize("models", [2, 3])
def test_a_page_has_a_row_for_each_model(scan, tmp_path, shell, models: int) -> None:
    names = MODELS[:models]
    words = ("--acceleration", 2)
    assert shell(scan, tmp_path / "one.png", "--model", names[0], *words, "--slices", 1)[0] == 0
    assert shell(scan, tmp_path / "all.png", "--model", *names, *words)[0] == 0
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "all.png") as page:
        # A page is as high as its rows.
        assert page.height == pytest.approx(models * one.height, rel=0.02)


@pytest.mark.parametrize("ending", [".npy", ".nii", ".nii.gz"])
def test_a_format_of_one_volume_refuses_several_before_the_work(
    scan, tmp_path, shell, ending
) -> None:
    status, _, (line,) = shell(scan, tmp_path / f"o{ending}", "--model", *MODELS)
    assert status == 2 and f"{ending}: holds the images of one model, 3 given" in line
    assert list(tmp_path.iterdir()) == [scan]
