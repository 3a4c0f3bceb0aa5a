"""Wavelet FISTA, total variation and plug-and-play: optimality, equivariance, independence of batch
mates, honest flags.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.recon import create
from deqlab.recon.deq.plug_and_play import ALGORITHMS, PlugAndPlay
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.recon.sparse.cycle_spinning import CycleSpinning, RandomShifts, moved
from deqlab.recon.sparse.total_variation import TotalVariation
from deqlab.recon.sparse.wavelet import WaveletFISTA
from deqlab.recon.weights import ready
from deqlab.signal.transforms.finite_differences import differences, differences_adjoint, lengths
from deqlab.signal.transforms.wavelets import Wavelet
from deqlab.solvers import Anderson, Picard, solve

ONE = CycleSpinning(1)


def methods(denoiser) -> list[FixedPointMethod]:
    return [
        WaveletFISTA(0.2, Wavelet("db2", 2), ONE, 1e-7, 1000),
        WaveletFISTA(0.2, Wavelet("haar", 1), CycleSpinning(3), 1e-7, 1000),
        TotalVariation(0.2, 1e-7, 1000),
        PlugAndPlay(denoiser(0.6), "pgd", step=0.7, tolerance=1e-7, max_evaluations=1000),
    ]


@pytest.mark.parametrize("size", [(8, 8), (9, 6)])
def test_wavelet_fista_obeys_the_optimality_conditions(measure, size: tuple[int, int]) -> None:
    """W A^H (y - A x) is lambda times the phase of W x where that is not 0, and at most lambda
    where it is.
    """
    data, method = measure(3, 2, size), WaveletFISTA(0.2, Wavelet("db2", 2), ONE, 1e-9, 2000)
    solution = method.solve(data.kspace, data.A)
    assert solution.converged.all()
    x, penalty = solution.value, method.penalty(data.A.H(data.kspace))
    c = method.wavelet.forward(x)
    slope = method.wavelet.forward(data.A.H(data.kspace - data.A(x))) / penalty
    there = c.abs() > 1e-6
    assert 0 < int(there.sum()) < there.numel()
    assert_close(slope[there], c[there].sgn(), rtol=0, atol=1e-4)
    assert bool((slope.abs()[~there] <= 1 + 1e-4).all())


@pytest.mark.parametrize("solver, tolerance", [(Picard(), 5e-5), (Anderson(10), 1e-7)])
@pytest.mark.parametrize("size", [(6, 6), (7, 4)])
def test_total_variation_is_a_saddle_point(
    measure, size: tuple[int, int], solver, tolerance: float
) -> None:
    """The dual variable u = sqrt(s / t) w has A^H (A x - y) = -D^H u, |u| <= lambda, and lambda
    times the direction of D x where D x is not 0.
    """
    data = measure(1, 2, size)
    method = TotalVariation(0.3, tolerance, 1500, solver)
    f = method.fixed_point_map(data.kspace, data.A)
    solution = solve(f, f.state(f.projection), solver, method.tolerance, method.max_evaluations)
    assert solution.converged.all()
    x, w = f(solution.value)
    assert_close(method(data.kspace, data.A), x, rtol=0, atol=10 * tolerance)
    penalty, d = method.penalty(f.projection), differences(x)
    u = w * (f.coupling / f.primal).unsqueeze(-3)
    assert_close(
        data.A.normal(x) - f.projection, -differences_adjoint(u), rtol=0, atol=1e3 * tolerance
    )
    assert bool((lengths(u) <= penalty * (1 + 1e-9)).all())
    there = lengths(d) > 5e-2
    assert 0 < int(there.sum()) < there.numel()
    assert_close(
        (u.conj() * d).sum(-3).real[there],
        (penalty * lengths(d))[there],
        rtol=0,
        atol=1e3 * tolerance,
    )


def test_objectives_are_least_at_the_solution(measure) -> None:
    data = measure(2, 2, (8, 8))
    for method in (
        WaveletFISTA(0.1, Wavelet("haar", 2), ONE, 1e-6, 1000),
        TotalVariation(0.1, 1e-6, 1000),
    ):
        x = method(data.kspace, data.A)
        least = method.objective(x, data.kspace, data.A)
        for _ in range(5):
            other = x + 1e-2 * torch.randn_like(x)
            assert bool((method.objective(other, data.kspace, data.A) > least).all())


def test_no_penalty_leaves_a_least_squares_image(measure) -> None:
    image = torch.randn(2, 8, 8, dtype=torch.complex128)
    A = CartesianOperator(torch.ones(8, dtype=torch.bool), measure(1, 2, (8, 8)).A.coil_maps)
    for method in (WaveletFISTA(0.0, tolerance=1e-10), TotalVariation(0.0, tolerance=1e-10)):
        assert_close(method(A(image), A), image, rtol=0, atol=1e-8)


def test_a_large_penalty_leaves_nothing_or_a_constant(measure) -> None:
    data = measure(2, 2, (8, 8))
    nothing = WaveletFISTA(100.0).solve(data.kspace, data.A)
    assert float(nothing.value.abs().max()) == 0 and nothing.converged.all()
    flat = TotalVariation(3.0, 1e-6, 1000)(data.kspace, data.A)
    assert float((flat - flat.mean((-2, -1), keepdim=True)).abs().max()) < 1e-3 * float(
        flat.abs().max()
    )


@pytest.mark.parametrize("which", range(4))
def test_units_and_global_phase_change_the_image_alike_and_nothing_else(
    measure, denoiser, which: int
) -> None:
    data, method = measure(2, 2, (8, 6)), methods(denoiser)[which]
    plain = method.solve(data.kspace, data.A)
    for factor in (1e-5, 3e4j):
        scaled = method.solve(factor * data.kspace, data.A)
        # Counts may differ by what rounding does near the tolerance.
        assert all(
            abs(a - b) <= 2 for a, b in zip(scaled.evaluations.tolist(), plain.evaluations.tolist())
        )
        assert_close(scaled.value / factor, plain.value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_a_sample_does_not_feel_its_batch_mates(measure, denoiser, which: int) -> None:
    data, method = measure(3, 2, (8, 6)), methods(denoiser)[which]
    everyone = method.solve(data.kspace, data.A)
    assert everyone.converged.all() and everyone.value.shape == (3, 8, 6)
    for index in range(3):
        one = data.member(index)
        assert_close(method(one.kspace, one.A)[0], everyone.value[index], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["wavelet", "tv", "pnp"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_by_name_in_either_precision(measure, name: str, dtype: torch.dtype) -> None:
    data = measure(2, 1, (16, 20), dtype)
    method = ready(name)
    if dtype == torch.complex128:
        method = method.to(torch.float64)
    solution = method.solve(data.kspace, data.A)
    assert solution.value.dtype == dtype and solution.value.shape == (2, 16, 20)
    assert [why == "converged" for why in solution.reason] == solution.converged.tolist()
    assert bool((solution.residual[solution.converged] <= method.tolerance).all())


def test_a_budget_is_no_convergence(measure, denoiser) -> None:
    data = measure(2, 2, (8, 6))
    for method in methods(denoiser):
        solution = replace(method, max_evaluations=2).solve(data.kspace, data.A)
        assert solution.reason == ["budget"] * 2 and not solution.converged.any()


def test_cycle_spinning_is_the_mean_over_its_origins() -> None:
    x, W, spinning = (
        torch.randn(2, 16, 16, dtype=torch.complex128),
        Wavelet("db2", 2),
        CycleSpinning(3),
    )
    origins = spinning.origins()
    assert (
        len(set(origins)) == 3
        and origins[0] == (0, 0)
        and origins == CycleSpinning(3).origins() != CycleSpinning(3, seed=1).origins()
    )
    rolled = [
        torch.roll(W.shrink(torch.roll(x, o, (-2, -1)), 0.5), (-o[0], -o[1]), (-2, -1))
        for o in origins
    ]
    assert_close(spinning(lambda image: W.shrink(image, 0.5), x), sum(rolled) / 3)


def test_all_origins_do_not_care_where_the_image_lies() -> None:
    """Every shift of a grid of one level is one of four: their mean commutes with a shift of the
    image, one alone does not.
    """
    x, W = torch.randn(1, 8, 8, dtype=torch.complex128), Wavelet("haar", 1)

    def mean(image: Tensor) -> Tensor:
        return (
            sum(moved(lambda v: W.shrink(v, 0.7), image, (y, z)) for y in (0, 1) for z in (0, 1))
            / 4
        )

    def alone(image: Tensor) -> Tensor:
        return W.shrink(image, 0.7)

    gaps = [float((f(x.roll(1, -1)) - f(x).roll(1, -1)).abs().max()) for f in (mean, alone)]
    assert gaps[0] < 1e-12 < 0.1 < gaps[1]


def test_random_origins_wander_and_say_so(measure) -> None:
    data = measure(2, 2, (16, 16))
    runs = [
        WaveletFISTA(0.05, Wavelet("haar", 2), RandomShifts(seed), 1e-6, 60).solve(
            data.kspace, data.A
        )
        for seed in (0, 0, 1)
    ]
    assert runs[0].reason == ["budget"] * 2
    assert torch.equal(runs[0].value, runs[1].value) and not torch.equal(
        runs[0].value, runs[2].value
    )


def test_every_algorithm_of_one_denoiser_finds_the_same_image(measure, denoiser) -> None:
    data, R = measure(2, 2, (6, 6)), denoiser(0.5)
    values = {
        name: PlugAndPlay(R, name, step=0.8, tolerance=1e-8, max_evaluations=1000).solve(
            data.kspace, data.A
        )
        for name in ALGORITHMS
    }
    for solution in values.values():
        assert solution.converged.all()
        assert_close(solution.value, values["pgd"].value, rtol=0, atol=1e-6)


def test_strength_is_a_share_of_what_the_denoiser_removes(measure, denoiser) -> None:
    data, R = measure(2, 2, (6, 6)), denoiser(0.5)
    f = PlugAndPlay(R, strength=0.3).fixed_point_map(data.kspace, data.A)
    x = torch.randn(2, 6, 6, dtype=torch.complex128)
    unit = data.A.H(data.kspace).abs().amax((-2, -1), keepdim=True)
    assert_close(f.denoiser(x), 0.7 * x + 0.3 * unit * R(x / unit))


def test_maps_of_another_norm_scale_the_image(measure) -> None:
    """With 7 A for A the minimiser is a seventh, as lambda grows with max |A^H y|; the step follows
    the norm.
    """
    data = measure(2, 2, (8, 8))
    A = CartesianOperator(data.A.mask, 7 * data.A.coil_maps)
    for method in (
        WaveletFISTA(0.2, Wavelet("haar", 1), ONE, 1e-7, 1000),
        TotalVariation(0.2, 1e-7, 2000),
    ):
        solution = method.solve(data.kspace, A)
        assert solution.converged.all()
        assert_close(7 * solution.value, method(data.kspace, data.A), rtol=0, atol=1e-4)


def test_one_step_of_the_primal_dual_map_by_the_formula(measure) -> None:
    data = measure(2, 2, (5, 6))
    f = TotalVariation(0.1).fixed_point_map(data.kspace, data.A)
    x, w = (
        torch.randn(2, 5, 6, dtype=torch.complex128),
        torch.randn(2, 2, 5, 6, dtype=torch.complex128),
    )
    t, c = f.primal, f.coupling.unsqueeze(-3)
    new = x - t * data.A.H(data.A(x) - data.kspace) - f.coupling * differences_adjoint(w)
    free = w + c * differences(2 * new - x)
    found = f((x, w))
    assert_close(found[0], new)
    assert_close(
        found[1], free * torch.minimum(torch.ones_like(t), f.limit / lengths(free)).unsqueeze(-3)
    )
    # Condat's condition for convergence, with s = c^2 / t and ||A|| <= 1.
    assert bool((1 / t - 8 * f.coupling**2 / t >= 0.5 - 1e-9).all())


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: create("wavelet", weight=-0.1), ["weight: -0.1", ">= 0"]),
        (lambda: create("tv", weight=float("nan")), ["weight: nan"]),
        (lambda: ready("wavelet", {"wavelet": "db44"}), ["did you mean db4?"]),
        (lambda: ready("wavelet", {"spinning.shifts": "0"}), ["shifts: 0", ">= 1"]),
        (lambda: create("wavelet", wieght=1.0), ["did you mean weight?"]),
        (lambda: ready("pnp", {"algorithm": "fsta"}), ["algorithm: 'fsta'", "did you mean fista?"]),
        (lambda: ready("pnp", {"strength": "0.0"}), ["strength: 0.0", "> 0"]),
        (lambda: ready("pnp", {"denoiser": "cg-sense"}), ["denoiser", "'cg-sense'"]),
    ],
)
def test_what_cannot_be_is_named(make, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_too_many_levels_are_refused_before_the_work(measure) -> None:
    data = measure(1, 2, (8, 6))
    with pytest.raises(InputError, match="levels: 5"):
        create("wavelet", wavelet=Wavelet(levels=5))(data.kspace, data.A)
