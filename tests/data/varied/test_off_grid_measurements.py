"""Draws off the grid: samples as files off the grid give them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data.sample import collate
from deqlab.data.varied.draws import Varied
from deqlab.data.varied.off_grid_measurements import OffGridMeasurements
from deqlab.operators import NUFFTOperator

FULL = OffGridMeasurements(
    sizes=(24, 30), coils=(1, 3), acceleration=(0.5, 0.5), noise=(1e-9, 1e-9)
)


@pytest.fixture
def draws(varied: Varied) -> Varied:
    """Full sampling without noise, from discs."""
    varied.options = replace(varied.options, measurements=FULL)
    return varied


@pytest.mark.parametrize("radial", [0.0, 1.0])
def test_a_sample_is_the_measurement_of_its_reference(draws: Varied, radial: float) -> None:
    draws.options = replace(draws.options, measurements=replace(FULL, radial=radial))
    shapes = set()
    for step in range(4):
        batch = collate([draws.scan(0, step, index) for index in range(2)])
        A = batch.operator
        assert isinstance(A, NUFFTOperator) and A.members in (1, 2) and len(A.trajectory) == 1
        shapes.add(tuple(batch.reference.shape[1:]))
        # The compensated adjoint has the maximum 1 whatever the operator was scaled by.
        projection = A.H(batch.kspace) / A.gain.float()
        torch.testing.assert_close(projection.abs().amax((1, 2)), torch.ones(2))
        assert float(A.norm(projection, 60).max()) <= 1
        assert (projection - batch.reference).norm() < 0.25 * batch.reference.norm()
        # The reference explains the samples, up to what the maps miss.
        assert (A(batch.reference) - batch.kspace).norm() < 0.05 * batch.kspace.norm()
    assert len(shapes) > 1


def test_draws_repeat_and_differ(draws: Varied) -> None:
    one, again, other = (draws.scan(1, *at).kspace for at in ((2, 3), (2, 3), (2, 4)))
    assert torch.equal(one, again) and one.shape == other.shape
    assert not torch.equal(one, other)


def test_noise_is_what_was_asked_for(draws: Varied) -> None:
    """In the samples before they are weighed."""
    for level in (0.05, 0.2):
        noisy = replace(FULL, noise=(level, level), coils=(3,))
        draws.options = replace(draws.options, measurements=replace(FULL, coils=(3,)))
        clean = draws.scan(0, 0, 0)
        draws.options = replace(draws.options, measurements=noisy)
        sample = draws.scan(0, 0, 0)
        difference = sample.kspace * sample.scale - clean.kspace * clean.scale
        noise = difference / sample.operator.weights.sqrt()
        assert noise.real.std() == pytest.approx(level, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coils": ()}, "sizes, coils: none given"),
        ({"noise": (2.0, 1.0)}, r"noise: \(2.0, 1.0\) given, the smaller one first needed"),
        ({"acceleration": (8.0, 1.0)}, "acceleration: .* the smaller one first"),
        ({"radial": 2}, "radial: 2 given, a finite number >= 0 and <= 1 needed"),
    ],
)
def test_what_does_not_fit_is_one_line(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        OffGridMeasurements(**options)
    assert "\n" not in str(error.value)
