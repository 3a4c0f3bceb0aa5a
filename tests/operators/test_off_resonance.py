"""Time segments against the exact sums, on and off the grid, and what off-resonance does to simple
objects.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import (
    CartesianOperator,
    ExactOffResonance,
    NDFTOperator,
    NUFFTOperator,
    OffResonance,
)
from deqlab.operators.segments import time_segments
from deqlab.signal.transforms.fourier import fft2c


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def points(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64) - 0.5


def all_lines(columns: int) -> torch.Tensor:
    return torch.ones(columns, dtype=torch.bool)


def gap(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("field", ["rough", "smooth"])
def test_within_a_thousandth_of_the_exact_sum_at_150_hz_and_20_ms(
    dtype: torch.dtype, field: str
) -> None:
    size, samples = (24, 22), 600
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in size)
    maps = {
        "rough": 300 * torch.rand(*size, dtype=torch.float64) - 150,
        "smooth": 150 * torch.sin(2 * y[:, None] + x),
    }
    trajectory, times = points(samples, 2), 0.02 * torch.rand(samples, dtype=torch.float64)
    times[0], times[1] = 0, 0.02
    coils = complex_noise(2, *size)
    A = OffResonance(NUFFTOperator(trajectory, size, coils), maps[field], times)
    exact = ExactOffResonance(trajectory, size, maps[field], times, coils)
    image, kspace = complex_noise(1, *size).to(dtype), complex_noise(1, 2, samples).to(dtype)
    assert gap(A(image), exact(image)) <= 1e-3
    assert gap(A.H(kspace), exact.H(kspace)) <= 1e-3
    assert gap(A.normal(image), exact.normal(image)) <= 2e-3
    # The field is not negligible.
    assert gap(NDFTOperator(trajectory, size, coils)(image), exact(image)) > 0.5


@pytest.mark.parametrize("hertz, seconds", [(150, 0.02), (20, 0.005), (400, 0.03)])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
def test_segments_keep_their_tolerance_everywhere(
    hertz: float, seconds: float, tolerance: float
) -> None:
    times = torch.linspace(-0.3 * seconds, 0.7 * seconds, 157, dtype=torch.float64)
    frequencies = torch.linspace(-hertz, hertz, 311, dtype=torch.float64)
    found = time_segments(times, -hertz, hertz, tolerance)
    truth = torch.exp(-2j * torch.pi * torch.outer(times, frequencies))
    model = found.interpolators.T @ torch.exp(
        -2j * torch.pi * torch.outer(found.nodes, frequencies)
    )
    assert float((model - truth).abs().max()) <= 1.5 * tolerance and found.error <= tolerance
    # One for each turn, and what the edges cost; with small coefficients, so that noise is not
    # amplified.
    assert len(found.nodes) <= 2 * hertz * seconds + 4 - 2 * math.log10(tolerance)
    assert float(found.interpolators.abs().sum(0).max()) < 30
    fewer = time_segments(times, -hertz, hertz, tolerance, len(found.nodes) - 1)
    assert fewer.error > tolerance and len(fewer.nodes) == len(found.nodes) - 1


def test_adjoint_and_gradient_hold_however_few_the_segments() -> None:
    """The interpolators of a one-sided range of frequencies are complex."""
    field, times = 40 + 40 * points(5, 6), 0.02 * torch.rand(21, dtype=torch.float64)
    A = OffResonance(
        NUFFTOperator(points(21, 2), (5, 6), complex_noise(2, 5, 6)), field, times, segments=2
    )
    assert A.segments.error > 1e-2 and float(A.segments.interpolators.imag.abs().max()) > 0.1
    x, y = complex_noise(3, 5, 6).requires_grad_(), complex_noise(3, 2, 21)
    assert_close((y.conj() * A(x)).sum(), (A.H(y).conj() * x).sum())
    assert_close(torch.autograd.grad((y.conj() * A(x)).real.sum(), x)[0], A.H(y))


def test_no_field_needs_one_segment_and_changes_nothing() -> None:
    trajectory, x = points(30, 2), complex_noise(2, 6, 7)
    A = NUFFTOperator(trajectory, (6, 7))
    B = OffResonance(A, torch.zeros(6, 7), torch.rand(30))
    assert len(B.segments.nodes) == 1
    assert_close(B(x), A(x))


def test_one_frequency_is_a_phase_on_the_samples() -> None:
    trajectory, times, x = (
        points(30, 2),
        torch.rand(30, dtype=torch.float64),
        complex_noise(2, 6, 7),
    )
    A = NUFFTOperator(trajectory, (6, 7))
    found = OffResonance(A, torch.full((6, 7), 3.0), times)(x)
    assert_close(found, torch.exp(-2j * torch.pi * 3 * times) * A(x))


def test_in_lines_it_shifts_the_image_along_the_readout() -> None:
    """f dwell cycles a sample are f dwell rows pixels of shift towards negative y: y' + f dwell
    rows = y is where the phases agree.
    """
    rows, columns, dwell = 16, 6, 1e-5
    hertz = 3 / (dwell * rows)
    times = (torch.arange(rows, dtype=torch.float64) - rows // 2) * dwell
    A = CartesianOperator(all_lines(columns))
    x = complex_noise(1, rows, columns)
    found = OffResonance(A, torch.full((rows, columns), hertz), times)(x)
    assert_close(A.H(found), x.roll(3, dims=1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", ["rows", "points"])
def test_on_the_grid_it_is_the_exact_sum_over_the_lines(shape: str) -> None:
    rows, columns = 9, 8
    field = 100 * points(rows, columns)
    times = 0.01 * torch.rand(rows, columns if shape == "points" else 1, dtype=torch.float64)
    maps, x = complex_noise(2, rows, columns), complex_noise(3, rows, columns)
    A = OffResonance(
        CartesianOperator(all_lines(columns), maps),
        field,
        times if shape == "points" else times[:, 0],
        tolerance=1e-6,
    )
    axes = [(torch.arange(n, dtype=torch.float64) - n // 2) / n for n in (rows, columns)]
    exact = ExactOffResonance(
        torch.cartesian_prod(*axes),
        (rows, columns),
        field,
        times.expand(rows, columns).flatten(),
        maps,
    )
    assert gap(A(x).flatten(2), exact(x)) < 2e-6
    assert gap(A(x), fft2c(maps * x.unsqueeze(1))) > 0.1


def test_a_volume_on_and_off_the_grid() -> None:
    shape = (3, 4, 5)
    field, x = 30 * points(*shape), complex_noise(2, *shape)
    rows = 0.01 * torch.rand(4, dtype=torch.float64)
    axes = [(torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape]
    trajectory, times = torch.cartesian_prod(*axes), rows[:, None].expand(*shape).flatten()
    exact = ExactOffResonance(trajectory, shape, field, times)
    on_grid = OffResonance(
        CartesianOperator(all_lines(5), dimensions=3), field, rows, tolerance=1e-6
    )
    off_grid = OffResonance(NUFFTOperator(trajectory, shape), field, times, tolerance=1e-6)
    assert gap(on_grid(x).flatten(2), exact(x)) < 2e-6 and gap(off_grid(x), exact(x)) < 5e-6
    assert gap(on_grid.H(on_grid(x)), exact.normal(x)) < 5e-6


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("around", ["nufft", "grid", "exact"])
@pytest.mark.parametrize("index", [[0], [2, 0], [1, 1, 2]])
def test_select_and_stack(own: bool, around: str, index: list[int]) -> None:
    field = 50 * points(3, 5, 6) if own else 50 * points(5, 6)
    if around == "grid":
        times = 0.01 * torch.rand(5)
        apart = [
            OffResonance(CartesianOperator(all_lines(6)), field[i] if own else field, times)
            for i in range(3)
        ]
        kspace = complex_noise(3, 1, 5, 6)
    else:
        trajectory, times = points(21, 2), 0.01 * torch.rand(21)

        def make(part: torch.Tensor):
            if around == "exact":
                return ExactOffResonance(trajectory, (5, 6), part, times)
            return OffResonance(NUFFTOperator(trajectory, (5, 6)), part, times, tolerance=1e-8)

        apart, kspace = (
            [make(field[i] if own else field) for i in range(3)],
            complex_noise(3, 1, 21),
        )
    together = type(apart[0]).stack(apart) if around != "exact" or not own else make(field)
    image, chosen = complex_noise(3, 5, 6), torch.tensor(index)
    tolerance = 1e-2 if around == "grid" else 1e-6
    assert_close(
        together(image),
        torch.cat([A(image[i : i + 1]) for i, A in enumerate(apart)]),
        rtol=tolerance,
        atol=tolerance,
    )
    part = together.select(chosen)
    assert_close(part(image[chosen]), together(image)[chosen])
    assert_close(part.H(kspace[chosen]), together.H(kspace)[chosen])


def test_castings_leave_field_and_times_alone() -> None:
    A = OffResonance(
        NUFFTOperator(points(9, 2), (5, 6)),
        50 * points(5, 6),
        0.01 * torch.rand(9, dtype=torch.float64),
    )
    x = complex_noise(1, 5, 6)
    truth = A(x)
    with pytest.warns(UserWarning):
        A.to(torch.complex64)
    assert torch.equal(A(x), truth) and A.field_map.dtype == torch.float64


NAN = torch.zeros(5, 6)
NAN[0, 0] = math.nan


@pytest.mark.parametrize(
    "field, times, options, words",
    [
        (torch.zeros(6, 5), torch.rand(9), {}, ["field_map", "(6, 5)", "(5, 6)"]),
        (NAN, torch.rand(9), {}, ["field_map", "NaN"]),
        (
            torch.zeros(5, 6, dtype=torch.complex64),
            torch.rand(9),
            {},
            ["field_map", "complex64", "Hz"],
        ),
        (torch.zeros(3, 5, 6), torch.rand(9), {}, ["field_map", "batch of 3", "batch of 2"]),
        (torch.zeros(5, 6), torch.rand(8), {}, ["times", "(8,)", "(9,)"]),
        (torch.zeros(5, 6), torch.full((9,), math.inf), {}, ["times", "infinite"]),
        (torch.zeros(5, 6), torch.rand(9), {"tolerance": 0.0}, ["tolerance"]),
        (torch.zeros(5, 6), torch.rand(9), {"segments": 0}, ["segments", "1 or more"]),
        (1e5 * points(5, 6), torch.rand(9), {}, ["turns of phase", "Hz"]),
    ],
)
def test_what_does_not_fit_is_named(field, times, options: dict, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        OffResonance(NUFFTOperator(points(2, 9, 2), (5, 6)), field, times, **options)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_on_the_grid_times_of_another_length_are_named() -> None:
    with pytest.raises(InputError, match="times"):
        OffResonance(CartesianOperator(all_lines(6)), torch.zeros(5, 6), torch.rand(6))


@pytest.mark.parametrize(
    "method, tensor",
    [
        ("forward", torch.randn(1, 5, 6)),
        ("forward", complex_noise(1, 6, 5)),
        ("H", complex_noise(1, 1, 8)),
    ],
)
def test_tensors_of_other_sizes_are_refused(method: str, tensor: torch.Tensor) -> None:
    A = OffResonance(NUFFTOperator(points(9, 2), (5, 6)), torch.zeros(5, 6), torch.rand(9))
    with pytest.raises(InputError):
        getattr(A, method)(tensor)
