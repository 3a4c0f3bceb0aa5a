"""Instance normalisation: statistics of the input, applied to input and target alike, then the
clamp.
"""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data.prepare.normalise import instance_normalise, normalisation_of


def test_statistics_come_from_the_input_and_go_to_both():
    image = (
        torch.rand(3, 20, 17, dtype=torch.float64)
        * torch.tensor([1.0, 5.0, 1e-6]).double()[:, None, None]
    )
    target = 1.3 * image + 0.1
    normalised, other = instance_normalise(image, target, clamp=None)
    torch.testing.assert_close(
        normalised.mean((-2, -1)), torch.zeros(3).double(), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(normalised.std((-2, -1)), torch.ones(3).double())
    # The difference keeps its meaning: it is that of the images, over one standard deviation.
    torch.testing.assert_close(
        other - normalised, (target - image) / image.std((-2, -1), keepdim=True)
    )


def test_the_clamp_is_six_standard_deviations_and_optional():
    image = torch.zeros(40, 40)
    image[0, 0] = 1.0
    target = -image
    clamped, other = instance_normalise(image, target)
    assert clamped.max() == 6 and other.min() == -6
    assert instance_normalise(image, target, clamp=None)[0].max() > 39
    assert instance_normalise(image)[1] is None


def test_undo_restores_the_units():
    image = torch.rand(2, 9, 9) + 5
    normalisation = normalisation_of(image)
    torch.testing.assert_close(normalisation.undo(normalisation(image)), image)


def test_a_constant_image_gives_zeros():
    assert not instance_normalise(torch.full((1, 8, 8), 3.0))[0].any()


def test_complex_images_and_wrong_clamps_are_refused():
    with pytest.raises(InputError, match="complex image"):
        instance_normalise(torch.zeros(1, 4, 4, dtype=torch.complex64))
    with pytest.raises(InputError, match="complex image"):
        instance_normalise(torch.rand(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.complex64))
    for clamp in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="clamp"):
            normalisation_of(torch.rand(1, 4, 4), clamp)
