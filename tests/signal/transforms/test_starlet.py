"""The starlet's parts add up to the image whatever its filters are, and what they make of white
noise is known.
"""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.signal.transforms.starlet import SPLINE, detail_correlation, spline, starlet

SIZES = [(16, 16), (20, 34), (95, 127), (3, 5), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_parts_add_up_to_the_image(size: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.randn(2, *size, dtype=dtype)
    for filters in (spline(4).double(), torch.randn(3, 3, dtype=torch.float64)):
        details, coarse = starlet(x, filters)
        assert details.shape == (2, len(filters), *size) and coarse.shape == x.shape
        torch.testing.assert_close(details.sum(1) + coarse, x)


def test_it_is_the_convolution_that_it_says_with_mirrors_at_the_borders() -> None:
    """By hand, with holes of 0 and of 1 pixel between the taps."""
    taps = torch.tensor([SPLINE[2], SPLINE[1], SPLINE[0], SPLINE[1], SPLINE[2]]).double()
    x = torch.randn(1, 12, 15, dtype=torch.float64)
    coarse = x
    for scale in range(2):
        step = 2**scale
        kernel = torch.zeros(4 * step + 1, dtype=torch.float64)
        kernel[::step] = taps
        wide = torch.nn.functional.pad(coarse[None], (2 * step,) * 4, mode="reflect")
        smooth = torch.nn.functional.conv2d(wide, (kernel[:, None] * kernel)[None, None])[0]
        detail, coarse = coarse - smooth, smooth
        details, left = starlet(x, spline(scale + 1).double())
        torch.testing.assert_close(details[:, scale], detail)
        torch.testing.assert_close(left, coarse)


def test_a_constant_has_no_details() -> None:
    details, coarse = starlet(torch.full((7, 9), 2.5 + 1j), spline(4))
    assert details.abs().max() < 1e-6 and (coarse - (2.5 + 1j)).abs().max() < 1e-6


def test_what_becomes_of_white_noise() -> None:
    """From impulses: the correlation of the details of one with themselves."""
    filters = torch.stack((spline(3)[0], torch.tensor([0.5, 0.3, -0.1]), spline(3)[0])).double()
    side, reach = 81, 3
    impulse = torch.zeros(side, side, dtype=torch.float64)
    impulse[side // 2, side // 2] = 1
    details, _ = starlet(impulse, filters)
    spectrum = torch.fft.fft2(details, s=(2 * side, 2 * side)).abs().square()
    lags = torch.arange(-reach, reach + 1) % (2 * side)
    expected = torch.fft.ifft2(spectrum).real[:, lags[:, None], lags]
    torch.testing.assert_close(detail_correlation(filters, reach), expected)
    # The numbers that the literature tabulates.
    deviations = detail_correlation(spline(4).double(), 0).flatten().sqrt()
    tabulated = torch.tensor([0.8908, 0.2007, 0.0855, 0.0412]).double()
    torch.testing.assert_close(deviations, tabulated, atol=1e-4, rtol=0)


def test_its_derivatives_are_those_of_what_it_computes() -> None:
    x = torch.randn(3, 5, dtype=torch.complex128, requires_grad=True)
    filters = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(starlet, (x, filters))
    assert torch.autograd.gradcheck(lambda f: detail_correlation(f, 1), (filters,))


def test_filters_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"^low_pass: \(4, 5\) given, \(scale, 3\) needed$"):
        starlet(torch.zeros(4, 4), torch.zeros(4, 5))
