"""Half of k-space and a little more: exact for real images, and better than zeros for a smooth
phase.
"""

import math

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.signal.sampling.partial_fourier import PartialFourierMask, central_phase, homodyne, pocs
from deqlab.signal.transforms.fourier import fft2c, ifft2c

FILLS = {"homodyne": homodyne, "pocs": lambda kspace, mask: pocs(kspace, mask, iterations=60)}


def object_with_phase(
    shape: tuple[int, int], dtype: torch.dtype = torch.complex128
) -> torch.Tensor:
    """Two discs with a hole and a phase of a third of a turn or so."""
    y, x = torch.meshgrid(
        *(torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape), indexing="ij"
    )
    magnitude = (
        1.0 * (torch.hypot(x, 0.8 * y) < 0.7)
        - 0.6 * (torch.hypot(x - 0.2, y) < 0.2)
        + 0.1 * (torch.hypot(x + 0.3, y) < 0.1)
    )
    return (magnitude * torch.exp(1j * (0.5 + 1.1 * x - 0.7 * y + 0.6 * x * y))).to(dtype)


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    error = (image.abs() - reference.abs()).square().mean()
    return float(10 * torch.log10(reference.abs().max() ** 2 / error))


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 4, 45, 63), (32, 50)])
@pytest.mark.parametrize("fill", FILLS)
def test_real_images_come_back_exactly(fill, shape):
    """Of either sign, in any number of coils, odd and even."""
    image = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(
        torch.complex128
    )
    mask = PartialFourierMask(0.6).sample(shape[-1])
    assert_close(FILLS[fill](fft2c(image) * mask, mask), image, rtol=0, atol=1e-9)


@pytest.mark.parametrize("fill", FILLS)
def test_either_side_may_be_measured(fill):
    image = torch.randn(20, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(
        torch.complex128
    )
    mask = PartialFourierMask(0.6).sample(45).flip(0)
    assert_close(FILLS[fill](fft2c(image) * mask, mask), image, rtol=0, atol=1e-9)


@pytest.mark.parametrize("fraction", [9 / 16, 5 / 8, 3 / 4])
@pytest.mark.parametrize("fill", FILLS)
def test_smooth_phase_is_rescued(fill, fraction):
    image = object_with_phase((96, 96))
    mask = PartialFourierMask(fraction).sample(96)
    kspace = fft2c(image) * mask
    assert psnr(FILLS[fill](kspace, mask), image) > psnr(ifft2c(kspace), image) + 3


def test_constant_phase_is_exact_and_kept():
    image = object_with_phase((64, 64)).abs() * torch.exp(
        torch.tensor(0.8j, dtype=torch.complex128)
    )
    mask = PartialFourierMask().sample(64)
    for fill in FILLS.values():
        assert_close(fill(fft2c(image) * mask, mask), image, rtol=0, atol=1e-10)


def test_pocs_keeps_the_measured_lines():
    image = object_with_phase((64, 48))
    mask = PartialFourierMask().sample(48)
    kspace = fft2c(image) * mask
    for iterations in (1, 5):
        assert_close(fft2c(pocs(kspace, mask, iterations)) * mask, kspace, rtol=0, atol=1e-12)
    assert not torch.allclose(fft2c(homodyne(kspace, mask)) * mask, kspace, atol=1e-3)


def test_what_stands_at_unmeasured_lines_is_not_read():
    image = object_with_phase((32, 32))
    mask = PartialFourierMask().sample(32)
    for fill in FILLS.values():
        assert_close(fill(fft2c(image), mask), fill(fft2c(image) * mask, mask), rtol=0, atol=0)


def test_single_precision_stays_single():
    image = object_with_phase((64, 64), torch.complex64)
    mask = PartialFourierMask().sample(64)
    for fill in FILLS.values():
        filled = fill(fft2c(image) * mask, mask)
        assert filled.dtype == torch.complex64
        assert_close(
            filled,
            fill(fft2c(image.to(torch.complex128)) * mask, mask).to(torch.complex64),
            rtol=0,
            atol=1e-4,
        )


def test_phase_is_a_phase():
    image = object_with_phase((64, 64))
    mask = PartialFourierMask().sample(64)
    phase = central_phase(fft2c(image), mask)
    assert_close(phase.abs(), torch.ones(64, 64, dtype=torch.float64))
    inside = image.abs() > 0.5
    turned = (phase * image.conj())[inside]
    assert float((turned / turned.abs()).angle().abs().median()) < 0.1
    nothing = torch.zeros(8, 8, dtype=torch.complex64)
    assert central_phase(nothing, PartialFourierMask(0.7).sample(8)).equal(nothing + 1)


@pytest.mark.parametrize("width", [8, 63, 64])
def test_mask_is_one_side_and_some(width):
    mask = PartialFourierMask(0.7).sample(width, seed=3)
    lines = round(0.7 * width)
    assert mask[:lines].all() and not mask[lines:].any() and mask.dtype == torch.bool


@pytest.mark.parametrize("fraction", [0.5, 1.0, 1.2, math.nan])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(InputError, match="fraction"):
        PartialFourierMask(fraction)


def test_masks_that_are_not_one_sided_are_refused():
    kspace = torch.zeros(8, 16, dtype=torch.complex64)
    everything, nothing = torch.ones(16, dtype=torch.bool), torch.zeros(16, dtype=torch.bool)
    gap, exact_half = PartialFourierMask(0.7).sample(16), torch.arange(16) < 9
    gap[2] = False
    for fill in FILLS.values():
        for mask in (everything, nothing, gap, exact_half, torch.ones(4, 16, dtype=torch.bool)):
            with pytest.raises(InputError, match="mask"):
                fill(kspace, mask)
    with pytest.raises(InputError, match="fraction"):
        PartialFourierMask(0.51).sample(16)
    with pytest.raises(InputError, match="iterations"):
        pocs(kspace, PartialFourierMask(0.7).sample(16), iterations=0)
