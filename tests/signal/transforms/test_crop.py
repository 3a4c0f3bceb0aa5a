"""Crops keep the centre where it belongs, and the two ways of cropping mean what they say."""

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.transforms.crop import center_crop, center_pad, crop_kspace, crop_readout
from deqlab.signal.transforms.fourier import fft2c, ifft2c

SIZES = [(n, m) for n in (8, 9, 12, 15) for m in (3, 4, 7, 8) if m <= n]


def random_image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "part"), SIZES)
def test_centre_sample_stays_the_centre(size, part):
    x = torch.zeros(2, size, 11)
    x[:, size // 2, 11 // 2] = 1
    cropped = center_crop(x, (part, 5))
    assert cropped.shape == (2, part, 5)
    assert cropped[0, part // 2, 5 // 2] == 1
    assert center_pad(cropped, (size, 11)).equal(x)


@pytest.mark.parametrize(("size", "part"), SIZES)
def test_crop_undoes_pad(size, part):
    x = random_image(2, part, part)
    assert center_crop(center_pad(x, (size, size + 1)), (part, part)).equal(x)


@pytest.mark.parametrize("shape", [(9, 8), (8, 11), (0, 4)])
def test_crop_beyond_the_array_is_refused(shape):
    with pytest.raises(InputError, match="crop"):
        center_crop(torch.zeros(8, 10), shape)


@pytest.mark.parametrize(("rows", "part"), [(16, 8), (16, 9), (15, 8), (15, 7)])
def test_crop_readout_is_the_image_crop_exactly(rows, part):
    image = random_image(3, 2, rows, 10)
    expected = center_crop(image, (part, 10))
    torch.testing.assert_close(ifft2c(crop_readout(fft2c(image), part)), expected)


def test_crop_readout_works_on_undersampled_columns():
    kspace = fft2c(random_image(16, 10))
    mask = torch.arange(10) % 3 == 0
    torch.testing.assert_close(crop_readout(kspace * mask, 8), crop_readout(kspace, 8) * mask)


def test_crop_kspace_keeps_intensity_and_field_of_view():
    constant = torch.full((12, 10), 2.0 + 1.0j, dtype=torch.complex128)
    low = ifft2c(crop_kspace(fft2c(constant), (6, 5)))
    torch.testing.assert_close(low, torch.full((6, 5), 2.0 + 1.0j, dtype=torch.complex128))
    # A wave of two periods over the field of view still has two periods on half as many pixels.
    wave = torch.exp(2j * torch.pi * 2 * torch.arange(12, dtype=torch.float64) / 12)[
        :, None
    ].expand(12, 10)
    low = ifft2c(crop_kspace(fft2c(wave), (6, 10)))
    torch.testing.assert_close(low, wave[::2])


def test_crop_kspace_removes_what_is_beyond_its_band():
    place = torch.arange(12, dtype=torch.float64)[:, None].expand(12, 10)
    for periods in (4, -4):
        wave = torch.exp(2j * torch.pi * periods * place / 12)
        assert crop_kspace(fft2c(wave), (6, 10)).abs().max() < 1e-12
