"""One page of a scan: a panel for all that is known, and none for what is not."""

from __future__ import annotations

import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.show.scan_page import MOST_COILS, scan_page

IMAGE = np.ones((6, 4))


def titles(**known: object) -> list[str]:
    figure = scan_page(IMAGE, known.pop("kspace", IMAGE), title="a scan", **known)
    return [axes.get_title() for axes in figure.axes]


def test_a_page_of_what_is_known() -> None:
    assert titles() == ["zero-filled image", "k-space, 4 decades"]
    mask = np.array([True, False, True, False])
    found = titles(mask=mask, covariance=np.eye(3), coils=[2 * IMAGE, IMAGE / 2], maps=[IMAGE] * 2)
    assert found[2:] == [
        "mask, 2.0x",
        "|noise covariance| of coils",
        "coil 0: 1",
        "coil 1: 0.25",
        "map 0: 1",
        "map 1: 1",
    ]
    assert len(titles(coils=[IMAGE] * 20)) == 2 + MOST_COILS


def test_samples_are_drawn_in_decades_of_the_largest() -> None:
    samples = np.array([[2, 0.2], [1e-9, 0]])
    (_, axes) = scan_page(IMAGE, samples, title="").axes
    np.testing.assert_allclose(axes.images[0].get_array(), [[0, -1], [-4, -4]])


def test_samples_off_the_grid_lie_where_they_were_measured() -> None:
    places = np.array([[0.25, -0.5], [0, 0.1]])
    (_, axes) = scan_page(IMAGE, [1, 0.1], title="", positions=places).axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[-0.5, -0.25], [0.1, 0]])
    np.testing.assert_allclose(axes.collections[0].get_array(), [0, -1])
    with pytest.raises(InputError, match=r"kspace: shape \(6, 4\)"):
        scan_page(IMAGE, IMAGE, title="", positions=places)
