"""The wavelet pair loses nothing: inverse, adjoint and isometric, of any size."""

from __future__ import annotations

import pytest
import torch

from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.wavelet_pool import wavelet_join, wavelet_split

SIZES = [(4, 6), (20, 34), (95, 127), (3, 5), (1, 1)]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
def test_the_way_back_is_the_inverse_and_the_adjoint(size: tuple[int, int]) -> None:
    h = noise(2, 3, *size)
    bands = wavelet_split(h)
    assert bands.shape == (2, 12, (size[0] + 1) // 2, (size[1] + 1) // 2)
    torch.testing.assert_close(wavelet_join(bands, size), h)
    torch.testing.assert_close(bands.norm(), h.norm())
    other = noise(*bands.shape)
    torch.testing.assert_close((bands * other).sum(), (h * wavelet_join(other, size)).sum())


def test_of_even_sizes_both_ways_are_inverse() -> None:
    bands = noise(1, 8, 3, 4)
    torch.testing.assert_close(wavelet_split(wavelet_join(bands, (6, 8))), bands)


def test_the_bands_are_means_and_differences_of_each_channel() -> None:
    """Of a ramp along x, a ramp along y and a checkerboard, each band answers to its own."""
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    bands = wavelet_split(torch.stack((x, y, (-1) ** (x + y)))[None])[0].unflatten(0, (3, 4))
    assert torch.equal(bands[:, 0, 0, 0], torch.tensor([1.0, 1.0, 0.0])), "twice the mean"
    flat = bands[:, 1:].abs().amax((-2, -1)) > 0
    assert flat.tolist() == [[True, False, False], [False, True, False], [False, False, True]]


def test_complex_images_pass_as_channels() -> None:
    image = torch.randn(2, 7, 9, dtype=torch.complex128)
    bands = wavelet_split(to_channels(image))
    torch.testing.assert_close(to_complex(wavelet_join(bands, (7, 9))), image)


def test_their_derivatives() -> None:
    assert torch.autograd.gradcheck(wavelet_split, (noise(1, 2, 3, 5).requires_grad_(),))
    bands = noise(1, 4, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda b: wavelet_join(b, (3, 5)), (bands,))
