"""Density compensation: weights in the adjoint, and one number that makes it right on average."""

from __future__ import annotations

import pytest
import torch

from deqlab.operators import CartesianOperator, LinearOperator, NUFFTOperator, OffResonance
from deqlab.operators.gridding import density_weights
from deqlab.recon.steps.compensation import NoDensity, PipeMenon, compensated
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.sampling.trajectories import Radial, RadialVolume, Spiral

SHAPES = {"radial": (20, 24), "spiral": (21, 20), "volume": (7, 8, 9)}
DENSITIES = (PipeMenon(), NoDensity())


def operator(name: str, coils: int) -> NUFFTOperator:
    shape = SHAPES[name]
    rule = {"radial": Radial(9), "spiral": Spiral(3), "volume": RadialVolume(40, 16)}[name]
    maps = None
    if coils > 1:
        maps = torch.randn(coils, *shape, dtype=torch.complex64)
        maps = maps / maps.abs().square().sum(0).sqrt()
        if len(shape) == 2:
            maps = simulate_coil_maps(coils, shape, 0)
    return NUFFTOperator(rule.sample(shape), shape, maps)


def mean_of_ones(A: LinearOperator, shape: tuple[int, ...], batch: int) -> torch.Tensor:
    return A.H(A(torch.ones(batch, *shape, dtype=torch.complex64))).abs().flatten(1).mean(1)


@pytest.mark.parametrize("density", DENSITIES, ids=("pipe", "none"))
@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_the_mean_of_ones_is_one(name: str, coils: int, density) -> None:
    A = operator(name, coils)
    kspace = torch.randn(2, coils, A.samples, dtype=torch.complex64)
    weighed, B = compensated(kspace, A, density)
    torch.testing.assert_close(mean_of_ones(B, A.shape, 2), torch.ones(2), rtol=1e-4, atol=0)
    # D^(1/2) stands before y as it stands before A.
    ratio = weighed / kspace
    torch.testing.assert_close(B(A.H(kspace)), ratio * A(A.H(kspace)), rtol=1e-4, atol=1e-4)


def test_weights_are_those_of_pipe_and_menon_or_the_operator_s_own() -> None:
    A = operator("radial", 1)
    kspace = torch.ones(1, 1, A.samples, dtype=torch.complex64)
    found = compensated(kspace, A, PipeMenon())[0].abs().square().flatten()
    rule = density_weights(A.trajectory[0], A.shape)
    torch.testing.assert_close(found / found.sum(), (rule / rule.sum()).float(), rtol=1e-4, atol=0)
    own = A.weighted(rule)
    again = compensated(own.weigh(kspace), own, PipeMenon())[0].abs().square().flatten()
    torch.testing.assert_close(again, found, rtol=1e-4, atol=0)
    # And taken away where every sample counts alike.
    alike = compensated(own.weigh(kspace), own, NoDensity())[0].abs()
    torch.testing.assert_close(alike, alike.mean().expand_as(alike), rtol=1e-4, atol=0)


def test_a_sample_of_no_weight_and_nothing_measured_are_finite() -> None:
    A = operator("radial", 1)
    weights = torch.ones(A.samples)
    weights[:5] = 0
    kspace = torch.zeros(1, 1, A.samples, dtype=torch.complex64)
    weighed, B = compensated(kspace, A.weighted(weights), NoDensity())
    assert torch.isfinite(weighed).all() and torch.isfinite(B.weights).all()
    assert not B.weights[:, :5].any()


def test_off_resonance_keeps_its_field_and_the_grid_its_samples() -> None:
    A = operator("radial", 1)
    times = Radial(9).readout_times(A.shape)
    around = OffResonance(A, torch.full(A.shape, 30.0), times)
    kspace = torch.randn(1, 1, A.samples, dtype=torch.complex64)
    _, B = compensated(kspace, around, PipeMenon())
    assert isinstance(B, OffResonance) and B.segments is around.segments
    torch.testing.assert_close(mean_of_ones(B, A.shape, 1), torch.ones(1), rtol=1e-4, atol=0)
    C = CartesianOperator(torch.ones(24, dtype=torch.bool))
    assert compensated(kspace, C, PipeMenon())[1] is C
