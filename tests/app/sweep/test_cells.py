"""The cells of a grid and of a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from deqlab.app.sweep.cell import folder_name
from deqlab.app.sweep.cells import cells, listed, product
from deqlab.core.errors import InputError


def test_a_grid_is_a_product_with_the_last_axis_fastest() -> None:
    assert product(["loss=l1,l2", "seed=0,1"]) == [
        {"loss": "l1", "seed": "0"},
        {"loss": "l1", "seed": "1"},
        {"loss": "l2", "seed": "0"},
        {"loss": "l2", "seed": "1"},
    ]


def test_values_with_commas_are_separated_by_semicolons() -> None:
    assert product(["widths=8,16;12,24"]) == [{"widths": "8,16"}, {"widths": "12,24"}]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seed"], "NAME=VALUE"),
        (["=1"], "NAME=VALUE"),
        (["seed="], "NAME=VALUE"),
        (["seed=0,,1"], "NAME=VALUE"),
        (["seed=0,1,0"], "0 is given 2 times"),
        (["seed=0", "seed=1"], "seed is given twice"),
    ],
)
def test_a_grid_that_says_nothing_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        product(words)


def test_a_list_is_a_file_and_may_be_crossed_with_a_grid(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("loss, learning-rate\nl1, 1e-3\nl2,\n")
    assert cells(["seed=0,1"], path) == [
        {"loss": "l1", "learning-rate": "1e-3", "seed": "0"},
        {"loss": "l1", "learning-rate": "1e-3", "seed": "1"},
        {"loss": "l2", "seed": "0"},
        {"loss": "l2", "seed": "1"},
    ]
    with pytest.raises(InputError, match="loss stands in --grid too"):
        cells(["loss=l1"], path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no cells"),
        ("loss\n", "no cells"),
        ("loss\nl1,l2\n", "line 2: more fields"),
        ("loss\nl1\nl1\n", r"two cells are alike \(loss=l1\)"),
    ],
)
def test_a_list_that_says_nothing_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"cells.csv: {told}"):
        cells([], path)


def test_neither_grid_nor_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty sweep"):
        cells([], None)
    with pytest.raises(InputError, match="none.csv: missing"):
        listed(tmp_path / "none.csv")


def test_folders_are_readable_and_never_shared() -> None:
    assert folder_name({"loss": "l1", "seed": "0"}) == "loss=l1,seed=0"
    odd = [{"out": "a/b"}, {"out": "a_b"}, {"out": "a b"}, {"out": "x" * 200}, {"out": "x" * 201}]
    names = [folder_name(values) for values in odd]
    assert len(set(names)) == 5
    assert all("/" not in name and len(name) <= 100 for name in names)
