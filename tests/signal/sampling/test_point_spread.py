"""Point spread functions convolve, agree with the matrices they stand for, and have the side peaks
known for combs.
"""

import math

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.signal.sampling.point_spread import (
    coherence,
    point_spread,
    transform_coherence,
    transform_point_spread,
)
from deqlab.signal.transforms.fourier import fft2c, fftc, ifftc
from deqlab.signal.transforms.wavelets import Wavelet

SHAPES = [(16, 24), (15, 9), (17,), (32,)]


def draw(shape: tuple[int, ...], share: float = 0.3, seed: int = 0) -> torch.Tensor:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    mask.view(-1)[mask.numel() // 2] = True
    return mask


def identity(x: torch.Tensor) -> torch.Tensor:
    return x


@pytest.mark.parametrize("shape", SHAPES)
def test_undersampling_is_a_convolution_with_it(shape):
    mask, axes = draw(shape), tuple(range(-len(shape), 0))
    image = torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    spread = point_spread(mask)
    convolved = torch.zeros_like(image)
    for index in (
        torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, len(shape)).tolist()
    ):
        shift = [i - n // 2 for i, n in zip(index, shape)]
        convolved += spread[tuple(index)] * torch.roll(image, shift, axes)
    assert_close(
        ifftc(mask * fftc(image, axes), axes), convolved * mask.double().mean(), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_its_peak_is_one_and_in_the_middle(shape):
    spread = point_spread(draw(shape))
    assert complex(spread[tuple(n // 2 for n in shape)]) == pytest.approx(1)
    assert float(spread.abs().max()) <= 1 + 1e-12


@pytest.mark.parametrize("every", [2, 4, 8])
def test_comb_is_as_coherent_as_can_be(every):
    comb = torch.arange(64) % every == 0
    assert coherence(comb) == pytest.approx(1)
    assert coherence(comb, beyond=64 / every - 1) == pytest.approx(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_coherence_is_all_but_the_peak(shape):
    mask = draw(shape)
    spread = point_spread(mask).abs()
    spread[tuple(n // 2 for n in shape)] = 0
    assert coherence(mask) == pytest.approx(float(spread.max()))
    assert coherence(mask, beyond=3) == pytest.approx(
        max(float(spread[index]) for index in far_from_the_middle(shape, 3))
    )


def far_from_the_middle(shape: tuple[int, ...], distance: float):
    for index in (
        torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, len(shape)).tolist()
    ):
        if math.dist(index, [n // 2 for n in shape]) > distance:
            yield tuple(index)


def test_full_sampling_is_incoherent():
    assert coherence(torch.ones(12, 20)) == pytest.approx(0, abs=1e-14)


def test_one_dimensional_centre_block_has_the_dirichlet_kernel():
    mask = torch.zeros(128, dtype=torch.bool)
    mask[64 - 5 : 64 + 6] = True
    n = torch.arange(128, dtype=torch.float64) - 64
    kernel = torch.where(
        n == 0, 1, torch.sin(11 * math.pi * n / 128) / (11 * torch.sin(math.pi * n / 128))
    )
    assert_close(point_spread(mask).real, kernel)
    assert coherence(mask) == pytest.approx(float(kernel[65]))
    # Beyond its first zero, 128 / 11 pixels away, the first side lobe of a sinc is left: 21.7 % of
    # the peak.
    assert coherence(mask, beyond=128 / 11) == pytest.approx(0.217, abs=0.01)


def test_random_points_come_near_the_level_of_noise():
    mask = draw((64, 64), 0.25)
    # Off the peak it is a random walk of M = share N steps: standard deviation sqrt((1 - share) /
    # M).
    sigma = math.sqrt(0.75 / float(mask.sum()))
    spread = point_spread(mask).abs().flatten()
    spread = spread[spread < 0.999]
    assert float(spread.square().mean().sqrt()) == pytest.approx(sigma, rel=0.03)
    assert 2 * sigma < coherence(mask) < 6 * sigma


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("shape", [(16, 24), (15, 9)])
def test_transform_point_spread_is_its_matrix(shape, lines):
    mask = draw(shape[1:] if lines else shape, 0.5)
    wavelet = Wavelet("db2", 2)
    size = shape[0] * shape[1]
    basis = torch.eye(size, dtype=torch.complex128).reshape(size, *shape)
    # Columns are W F^H M F W^H e_i, from transforms written out as matrices.
    W = wavelet.forward(basis).reshape(size, size).T
    F = fft2c(basis).reshape(size, size).T
    gram = W @ F.mH @ torch.diag(mask.expand(shape).flatten().to(torch.complex128)) @ F @ W.mH
    atoms = torch.tensor([[0, 0], [shape[0] - 1, shape[1] - 1], [3, 5]])
    spread = transform_point_spread(mask, atoms, shape, wavelet.adjoint, wavelet.forward)
    for (row, column), own in zip(atoms.tolist(), spread):
        i = row * shape[1] + column
        assert_close(own.flatten(), gram[:, i] / gram[i, i], rtol=0, atol=1e-10)
        others = gram[:, i].abs() / gram[i, i].real
        others[i] = 0
        assert float(
            transform_coherence(
                mask, torch.tensor([[row, column]]), shape, wavelet.adjoint, wavelet.forward
            )
        ) == pytest.approx(float(others.max()))


def test_pixels_give_the_point_spread_function():
    mask = draw((16, 20))
    spread = transform_point_spread(
        mask, torch.tensor([[8, 10], [3, 15]]), (16, 20), identity, identity
    )
    assert_close(spread[0], point_spread(mask), rtol=0, atol=1e-12)
    assert_close(spread[1], torch.roll(point_spread(mask), (-5, 5), (0, 1)), rtol=0, atol=1e-12)
    assert float(
        transform_coherence(mask, torch.tensor([[3, 15]]), (16, 20), identity, identity)
    ) == pytest.approx(coherence(mask))


def test_bad_input_is_refused():
    nothing, some = torch.zeros(8, 8), draw((8, 8))
    atom = torch.tensor([[1, 1]])
    for call in (point_spread, coherence):
        with pytest.raises(InputError, match="no sample"):
            call(nothing)
        with pytest.raises(InputError, match="mask: shape"):
            call(torch.ones(2, 3, 4))
    with pytest.raises(InputError, match="beyond"):
        coherence(some, beyond=100)
    for atoms in (torch.tensor([1, 1]), torch.tensor([[1, 8]]), torch.tensor([[-1, 0]])):
        with pytest.raises(InputError, match="atoms"):
            transform_point_spread(some, atoms, (8, 8), identity, identity)
    # A band-pass atom that a lone sample at zero frequency cannot see.
    centre = torch.zeros(8, 8, dtype=torch.bool)
    centre[4, 4] = True
    haar = Wavelet("haar", 1)
    with pytest.raises(InputError, match="sees"):
        transform_point_spread(centre, torch.tensor([[6, 6]]), (8, 8), haar.adjoint, haar.forward)
    assert transform_point_spread(centre, atom, (8, 8), haar.adjoint, haar.forward).isfinite().all()
