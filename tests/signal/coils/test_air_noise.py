"""Coils are whitened by the noise of air, where there is air and noise that wants it, and else left
exactly as they are.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.signal.coils.air_noise import NoWhitening, WhiteningByAir
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.coils.whitening import mix_coils, noise_covariance
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.transforms.fourier import fft2c

SHAPE, COILS = (128, 96), 8
EVERY = torch.ones(SHAPE[1], dtype=torch.bool)
MASKS = {
    "all": EVERY,
    "4x": RandomMask(4, 0.08).sample(SHAPE[1], 3),
    "8x": RandomMask(8, 0.04).sample(SHAPE[1], 3),
}


def signal(coils: int = COILS, height: float = 0.6) -> Tensor:
    """k-space, complex64 (coil, y, x), of sharp-edged ellipses of peak 1, whose detail reaches the
    corners of k-space. height: of the largest, as a share of the field of view along the readout.
    """
    generator = torch.Generator().manual_seed(1)
    y, x = (torch.linspace(-1, 1, side) for side in SHAPE)
    image = ((y[:, None] / height) ** 2 + (x / 0.8) ** 2 < 1).float()
    for _ in range(20):
        top, left, size, value = torch.rand(4, generator=generator)
        part = (y[:, None] - height * (top - 0.5)) ** 2 + (x - left + 0.5) ** 2
        image = image + 0.5 * (value - 0.5) * (part < (0.02 + 0.2 * size) ** 2)
    return fft2c(simulate_coil_maps(coils, SHAPE, 1) * image / image.max())


def mixing(coils: int = COILS) -> Tensor:
    """How independent sources of noise reach the coils: correlated, and one three times as loud."""
    matrix = torch.eye(coils) + 0.2 * torch.randn(coils, coils, dtype=torch.complex64)
    matrix[0] *= 3
    return matrix


def noise(matrix: Tensor) -> Tensor:
    return mix_coils(matrix, torch.randn(matrix.shape[1], *SHAPE, dtype=torch.complex64))


def spread(covariance: Tensor) -> float:
    values = torch.linalg.eigvalsh(covariance)
    return float(values[-1] / values[0])


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("level", [3e-3, 0.03])
def test_correlated_noise_is_whitened_whatever_was_left_out(name: str, level: float) -> None:
    mask, own = MASKS[name], noise(mixing())
    kspace = (signal() + level * own) * mask
    found = WhiteningByAir().matrix([kspace], mask)
    assert found.matrix is not None and found.why.startswith("noise of air")
    before, after = (noise_covariance(part) for part in (own, mix_coils(found.matrix, own)))
    assert spread(before) > 10 and spread(after) < (2 if name == "all" else 4)


def test_slices_add_up_to_a_better_estimate() -> None:
    mask, matrix = MASKS["8x"], mixing()
    slices = [(signal() + 0.01 * noise(matrix)) * mask for _ in range(4)]
    own = noise(matrix)
    one, four = (
        spread(noise_covariance(mix_coils(WhiteningByAir().matrix(some, mask).matrix, own)))
        for some in (slices[:1], slices)
    )
    assert four < one and four < 2


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("level", [1e-3, 0.03])
def test_white_noise_is_left_alone_though_corners_hold_uneven_signal(
    name: str, level: float
) -> None:
    mask = MASKS[name]
    kspace = (signal() + level * noise(torch.eye(COILS))) * mask
    found = WhiteningByAir().matrix([kspace], mask)
    assert found.matrix is None and found.why.startswith("noise is white already")


def test_the_corners_of_a_noiseless_head_are_not_taken_for_noise() -> None:
    found = WhiteningByAir().matrix([signal()], EVERY)
    assert found.matrix is None and found.why == "no noise beyond rounding"
    # They would have looked like noise that is far from white.
    assert spread(noise_covariance(signal()[:, :12, :9])) > 3


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("height, level", [(1.0, 1e-4), (1.2, 0.01), (1.5, 0.01)])
def test_an_object_that_fills_the_readout_leaves_coils_alone(
    name: str, height: float, level: float
) -> None:
    mask = MASKS[name]
    kspace = (signal(height=height) + level * noise(mixing())) * mask
    found = WhiteningByAir().matrix([kspace], mask)
    assert found.matrix is None and found.why == "the outermost samples hold signal"


def test_coils_that_are_dead_stay_as_they_are() -> None:
    kspace = signal() + 0.01 * noise(mixing())
    kspace[2], kspace[5] = 0, 1e-6 * kspace[5]
    matrix = WhiteningByAir().matrix([kspace], EVERY).matrix
    assert matrix is not None and bool(matrix.isfinite().all())
    for dead in (2, 5):
        alone = torch.eye(COILS, dtype=matrix.dtype)[dead]
        assert matrix[dead].equal(alone) and matrix[:, dead].equal(alone)


def test_a_coil_that_copies_another_is_no_obstacle() -> None:
    kspace = signal() + 0.01 * noise(mixing())
    kspace[1] = kspace[0]
    matrix = WhiteningByAir().matrix([kspace], EVERY).matrix
    assert matrix is not None and float(matrix.abs().max()) < 1e3


@pytest.mark.parametrize("where", ["columns", "rows"])
def test_what_was_filled_in_with_zeros_counts_as_not_measured(where: str) -> None:
    kspace, own = signal() + 0.01 * noise(mixing()), noise(mixing())
    if where == "columns":
        kspace[..., :16], kspace[..., -16:] = 0, 0
    else:
        kspace[:, :30] = 0  # a partial echo
    found = WhiteningByAir().matrix([kspace], EVERY)
    assert found.matrix is not None
    assert own.isfinite().all() and spread(found.matrix @ found.matrix.mH) > 5


def test_what_says_too_little_leaves_coils_alone() -> None:
    few = torch.zeros(SHAPE[1], dtype=torch.bool)
    few[46:51] = True
    kspace = signal() + 0.01 * noise(mixing())
    for mask, samples, why in (
        (few, kspace, "no air beside the object, so no noise without signal"),
        (EVERY, kspace[:1], "one coil"),
        (EVERY, signal()[:1], "one coil"),
        (EVERY, 0 * kspace, "nothing was measured"),
        (EVERY.expand(SHAPE), kspace, "its readout is not fully sampled"),
    ):
        found = WhiteningByAir().matrix([samples], mask)
        assert found.matrix is None and why in found.why
    assert NoWhitening().matrix([kspace], EVERY).matrix is None


def test_what_was_decided_does_not_depend_on_the_scale() -> None:
    kspace = signal() + 0.01 * noise(mixing())
    one, other = (
        WhiteningByAir().matrix([scale * kspace], EVERY).matrix for scale in (1.0, 2.0**-30)
    )
    torch.testing.assert_close(one, other)
