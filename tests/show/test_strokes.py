"""A stroke covers its line and nothing else, with y upwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.show import stroke


def test_a_level_line_covers_its_rows_only() -> None:
    drawn = stroke(np.zeros((40, 60)), [[0.0, 0.25], [1.0, 0.25]], width=4.0)
    rows = np.flatnonzero(drawn[:, 30])
    assert drawn[29:31].min() == 1.0  # a quarter of the height from below
    assert rows.min() >= 27 and rows.max() <= 32
    assert drawn[:, 5:-5].sum(0) == pytest.approx(np.full(50, 4.0))


def test_a_slanted_line_goes_from_its_first_point_to_its_last() -> None:
    drawn = stroke(torch.zeros(50, 100), torch.tensor([[0.1, 0.2], [0.9, 0.8]]), width=3.0)
    rows, columns = np.nonzero(drawn > 0.5)
    assert abs((columns + 0.5) / 100 - 0.5).max() == pytest.approx(0.4, abs=0.02)
    assert np.allclose(
        (columns + 0.5) / 100, 0.1 + 0.8 * ((1 - (rows + 0.5) / 50) - 0.2) / 0.6, atol=0.06
    )


def test_it_shades_a_copy_and_leaves_the_rest() -> None:
    picture = np.full((30, 30), 0.7, dtype=np.float32)
    drawn = stroke(picture, [[0.5, 0.0], [0.5, 1.0], [0.5, 1.0]], shade=0.2)
    assert picture.min() == np.float32(0.7)
    assert drawn[:, 15] == pytest.approx(np.full(30, 0.2)) and drawn[:, :12] == pytest.approx(
        np.full((30, 12), 0.7)
    )


@pytest.mark.parametrize("path", [[[0.5, 0.5]], [0.1, 0.2, 0.3], [[0.0, 0.0], [np.nan, 1.0]]])
def test_what_is_no_path_is_named(path) -> None:
    with pytest.raises(InputError, match="stroke: a path has"):
        stroke(np.zeros((8, 8)), path)
