"""Complex images are seen as magnitude and phase, each under its name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.show import gallery


def test_each_image_is_a_magnitude_above_its_phase() -> None:
    image = np.zeros((4, 6), complex)
    image[1, 2], image[3, 3] = 2j, 0.001
    figure = gallery({"a": image, "b": torch.ones(3, 3) + 0j, "c": image}, columns=2, title="T")
    panels = np.array(figure.axes).reshape(4, 2)
    magnitude, phase = (panels[row, 0].images[0].get_array() for row in (0, 1))
    assert np.array_equal(magnitude, abs(image)) and panels[0, 0].get_title() == "a"
    assert phase[1, 2] == pytest.approx(np.pi / 2)
    # Where there is next to nothing no phase is drawn.
    assert np.ma.masked_invalid(phase).count() == 1
    assert panels[0, 1].get_title() == "b" and panels[2, 0].get_title() == "c"
    assert not panels[2, 1].images and figure._suptitle.get_text() == "T"


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="images: none given"):
        gallery({})
    with pytest.raises(InputError, match="b: 3 axes given"):
        gallery({"b": np.ones((2, 2, 2))})
