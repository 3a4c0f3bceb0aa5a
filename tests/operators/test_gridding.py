"""Weights, coil maps and scale: what makes samples off the grid look to a reconstructor as samples
on it do.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NDFTOperator, NUFFTOperator
from deqlab.operators.gridding import (
    at_most_one,
    coil_maps_from_center,
    density_weights,
    gridded_center,
    weigh,
)
from deqlab.operators.off_resonance import OffResonance
from deqlab.signal.coils.coil_maps import simulate_coil_maps
from deqlab.signal.sampling.density import pipe_menon
from deqlab.signal.sampling.trajectories import (
    CartesianLines,
    Radial,
    RadialVolume,
    Spiral,
    nyquist_spokes,
)
from deqlab.signal.scan.gradients import Gradients
from deqlab.signal.transforms.fourier import fft2c

SHAPE = (24, 20)
CHOICES = {
    "spokes": Radial(nyquist_spokes(SHAPE)),
    "few spokes": Radial(9),
    "spiral": Spiral(4, gradients=Gradients(dwell=1e-5)),
    "lines": CartesianLines(),
}


def smooth(shape: tuple[int, ...]) -> torch.Tensor:
    axes = torch.meshgrid(
        *[(torch.arange(side, dtype=torch.float64) - side // 2) / side for side in shape],
        indexing="ij",
    )
    return torch.exp(-sum(axis**2 for axis in axes) / 0.04).to(torch.complex128) * torch.exp(
        1j * axes[0]
    )


def test_weights_are_those_of_the_exact_transform() -> None:
    points = CHOICES["spokes"].sample((12, 10))
    F = NDFTOperator(points, (24, 20))
    exact = pipe_menon(F, F.H, torch.zeros(1, 1, len(points), dtype=torch.complex128)).flatten()
    found = density_weights(points, (12, 10))
    assert found.dtype == torch.float64 and found.shape == (len(points),)
    assert_close(found, exact, rtol=2e-2, atol=0)
    assert float((found - exact).norm() / exact.norm()) < 2e-3


def test_an_iteration_more_is_a_start_and_one_iteration() -> None:
    points = CHOICES["few spokes"].sample(SHAPE)
    three = density_weights(points, SHAPE, 3)
    assert_close(
        density_weights(points, SHAPE, 1, start=three),
        density_weights(points, SHAPE, 4),
        rtol=1e-4,
        atol=0,
    )


@pytest.mark.parametrize("name", CHOICES)
def test_coil_maps_are_normalised_and_those_of_the_coils(name) -> None:
    points, maps = CHOICES[name].sample(SHAPE), simulate_coil_maps(4, SHAPE, seed=0)
    object_ = smooth(SHAPE).to(torch.complex64)
    kspace = NUFFTOperator(points, SHAPE, maps)(object_[None])[0]
    found = coil_maps_from_center(kspace, points, density_weights(points, SHAPE), SHAPE)
    assert found.dtype == torch.complex64 and found.shape == maps.shape
    assert_close(found.abs().square().sum(0), torch.ones(SHAPE), rtol=0, atol=1e-5)
    # The phase of the object is in the maps; what is left agrees inside it, up to what the low
    # resolution blurs.
    inside = object_.abs() > 0.1
    agreement = (found.conj() * maps).sum(0).abs()[inside]
    assert float(agreement.min()) > 0.97 and float(agreement.mean()) > 0.995


@pytest.mark.parametrize("shape", [(24, 20), (25, 32)])
@pytest.mark.parametrize("choice", [Radial(51), CartesianLines()], ids=["spokes", "lines"])
def test_the_gridded_centre_is_the_centre_of_cartesian_kspace(shape, choice) -> None:
    points, maps = choice.sample(shape), simulate_coil_maps(3, shape, seed=0)
    object_ = smooth(shape).to(torch.complex64)
    kspace = NUFFTOperator(points, shape, maps)(object_[None])[0]
    gridded, lines, rows = gridded_center(
        kspace, points, density_weights(points, shape), shape, reach=6
    )
    on_grid = fft2c(maps * object_)
    assert gridded.shape == on_grid.shape
    assert lines.start <= shape[1] // 2 < lines.stop and rows.start <= shape[0] // 2 < rows.stop
    assert lines.stop - lines.start == 12 * shape[1] // max(
        shape
    ) and rows.stop - rows.start == 12 * shape[0] // max(shape)
    found, exact = gridded[:, rows, lines], on_grid[:, rows, lines]
    assert float((found - exact).norm() / exact.norm()) < 0.05


def test_the_scale_of_the_samples_does_not_matter_to_the_maps() -> None:
    points, maps = CHOICES["spokes"].sample(SHAPE), simulate_coil_maps(3, SHAPE, seed=1)
    kspace, density = (
        NUFFTOperator(points, SHAPE, maps)(smooth(SHAPE).to(torch.complex64)[None])[0],
        density_weights(points, SHAPE),
    )
    one, other = (
        coil_maps_from_center(kspace * factor, points, density, SHAPE) for factor in (1.0, 2.0**-50)
    )
    assert_close(one, other, rtol=0, atol=1e-4)
    nothing = coil_maps_from_center(kspace * 0, points, density, SHAPE)
    assert_close(nothing, torch.full_like(nothing, 3**-0.5))


def test_maps_without_a_centre_are_refused() -> None:
    points = Radial(9).sample((40, 40))
    far = points[points.norm(dim=1) > 0.4]
    with pytest.raises(
        InputError,
        match="trajectory: its nearest sample is 16 cycles per field of view .* within 10",
    ):
        coil_maps_from_center(
            torch.ones(2, len(far), dtype=torch.complex64), far, torch.ones(len(far)), (40, 40)
        )


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("coils", [1, 4])
def test_the_norm_is_at_most_one_and_the_solution_is_kept(name, coils) -> None:
    points = CHOICES[name].sample(SHAPE)
    maps = None if coils == 1 else simulate_coil_maps(coils, SHAPE, seed=0).to(torch.complex128)
    A = NUFFTOperator(points, SHAPE, maps, tolerance=1e-9, weights=density_weights(points, SHAPE))
    like = smooth(SHAPE)[None]
    scaled = at_most_one(A, like)
    assert float(scaled.norm(like, 100)) <= 1.001
    assert float(scaled.norm(like, 100)) > 0.95  # no smaller than need be
    # The same system: W^(1/2) A x and W^(1/2) y carry one factor.
    y = NUFFTOperator(points, SHAPE, maps, tolerance=1e-9)(like)
    assert_close(scaled.weigh(y), scaled(like), rtol=0, atol=1e-7)
    ratio = scaled.normal(like) / A.normal(like)
    assert_close(ratio, ratio.flatten()[0].expand_as(ratio), rtol=1e-3, atol=1e-3)


def test_an_operator_remembers_how_it_was_scaled() -> None:
    """Whatever becomes of it; the adjoint over the gain is that of the operator before."""
    points = CHOICES["spiral"].sample(SHAPE)
    density = density_weights(points, SHAPE)
    maps = simulate_coil_maps(3, SHAPE, seed=0).to(torch.complex128)
    A = NUFFTOperator(points, SHAPE, maps, weights=density)
    y = A.weigh(A(smooth(SHAPE)[None]))
    assert A.gain is None and CartesianOperator(torch.ones(4)).gain is None
    factors = (0.25, 0.5)
    one, other = (A.scaled(factor) for factor in factors)
    again = OffResonance(one.scaled(0.5), torch.zeros(SHAPE), torch.zeros(len(points)))
    assert again.gain.flatten().tolist() == [0.125] and one.gain.flatten().tolist() == [0.25]
    assert one.weighted(density).gain.flatten().tolist() == [0.25]
    assert copy.deepcopy(one).float().gain.dtype == torch.float64
    both = type(A).stack([one, other, A])
    assert both.gain.flatten().tolist() == [0.25, 0.5, 1]
    assert both.select(torch.tensor([1, 0])).gain.flatten().tolist() == [0.5, 0.25]
    assert type(A).stack([A, A]).gain is None and both.gain.shape == (3, 1, 1)
    scaled = both.H(torch.cat([B.weigh(y) / A.weigh(torch.ones_like(y)) for B in (one, other, A)]))
    assert_close(scaled / both.gain, A.H(y).expand(3, *SHAPE), rtol=0, atol=1e-9)


def test_off_resonance_may_lengthen_and_is_scaled_alike() -> None:
    """A field that squeezes pixels together makes their sum longer than each was."""
    choice = CartesianLines(lines_per_shot=SHAPE[1])
    points, times = choice.sample(SHAPE), choice.readout_times(SHAPE)
    field = 5e3 * (torch.arange(SHAPE[1], dtype=torch.float64) / SHAPE[1] - 0.5).square().expand(
        SHAPE
    )
    A = OffResonance(NUFFTOperator(points, SHAPE, weights=torch.ones(len(points))), field, times)
    like = smooth(SHAPE)[None]
    scaled = at_most_one(A, like)
    assert float(A.norm(like, 100)) > 1.1 and 0.95 < float(scaled.norm(like, 100)) <= 1.001
    y = A(like)
    assert_close(weigh(scaled, y), scaled(like), rtol=0, atol=1e-6)


def test_on_the_grid_it_is_the_cartesian_operator() -> None:
    shape = (12, 10)
    maps = simulate_coil_maps(3, shape, seed=0).to(torch.complex128)
    points = CartesianLines().sample(shape)
    A = NUFFTOperator(points, shape, maps, tolerance=1e-10, weights=density_weights(points, shape))
    x = smooth(shape)[None]
    on_grid = CartesianOperator(torch.ones(shape, dtype=torch.bool), maps)
    assert_close(A.weigh(A(x)).unflatten(-1, (10, 12)).mT, on_grid(x), rtol=0, atol=1e-3)


def test_a_volume() -> None:
    shape = (8, 8, 8)
    points, maps = (
        RadialVolume(nyquist_spokes(shape)).sample(shape),
        simulate_coil_maps(3, (8, 8), seed=0),
    )
    maps = maps[:, None].expand(3, *shape).contiguous()
    density = density_weights(points, shape)
    A = NUFFTOperator(points, shape, maps, weights=density)
    x = smooth(shape).to(torch.complex64)[None]
    kspace = NUFFTOperator(points, shape, maps)(x)
    image = A.H(A.weigh(kspace))
    assert float((image - x).norm() / x.norm()) < 0.1
    found = coil_maps_from_center(kspace[0], points, density, shape)
    assert float((found.conj() * maps).sum(0).abs()[x[0].abs() > 0.1].mean()) > 0.99


def test_the_grid_has_no_samples_to_weigh() -> None:
    A = OffResonance(CartesianOperator(torch.ones(6)), torch.zeros(4, 6), torch.zeros(4))
    with pytest.raises(InputError, match="CartesianOperator given, an operator off the grid"):
        weigh(A, torch.zeros(1, 1, 4, 6, dtype=torch.complex64))
