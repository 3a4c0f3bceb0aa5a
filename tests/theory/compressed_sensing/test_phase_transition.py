"""The Donoho-Tanner curve by other formulas, and the experiment that finds it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from deqlab.core.errors import InputError
from deqlab.theory import compressed_sensing as cs


def test_curve_is_the_parametric_one() -> None:
    """Donoho, Maleki and Montanari give the same curve by its parameter z: delta(z), rho(z)."""
    z = np.linspace(0.02, 4, 40)
    density, tail = norm.pdf(z), norm.cdf(-z)
    delta = 2 * density / (z + 2 * (density - z * tail))
    rho = 1 - z * tail / density
    np.testing.assert_allclose(cs.donoho_tanner(delta), rho, atol=1e-9)


@pytest.mark.parametrize("delta", [0.05, 0.3, 0.8])
def test_complex_curve_is_the_one_of_the_integrals(delta: float) -> None:
    """Statistical dimension of the l1 norm's descent cone (Amelunxen et al. 2014): the inf over t
    of what large entries and zeros leave.
    """

    def measurements(share: float) -> float:
        def at(t: float) -> float:
            zero = quad(lambda r: (r - t) ** 2 * r * math.exp(-r * r / 2), t, np.inf)[0]
            return (share * (2 + t * t) + (1 - share) * zero) / 2

        return minimize_scalar(at, bounds=(0, 8), method="bounded", options={"xatol": 1e-9}).fun

    rho = float(cs.donoho_tanner(delta, "complex"))
    assert measurements(rho * delta) == pytest.approx(delta, rel=1e-6)


def test_shape_of_the_curves() -> None:
    delta = np.linspace(0.01, 0.99, 50)
    real, complex_ = cs.donoho_tanner(delta), cs.donoho_tanner(delta, "complex")
    assert (np.diff(real) > 0).all() and (np.diff(complex_) > 0).all()
    assert (complex_ > real).all() and (real > 0).all() and (complex_ < 1).all()
    assert cs.donoho_tanner(0.5) == pytest.approx(0.3857, abs=1e-4)
    assert cs.donoho_tanner(0.5).shape == ()


@pytest.mark.parametrize(
    "ensemble", [cs.Gaussian(), cs.PartialFourier()], ids=["gaussian", "fourier"]
)
def test_half_of_the_signals_are_recovered_on_the_curve(ensemble) -> None:
    """At n = 128 the share falls over an interval of about 0.15; the middle lies within a quarter
    of it.
    """

    def near(delta: float) -> np.ndarray:
        return cs.donoho_tanner(delta, ensemble.field) + np.linspace(-0.16, 0.16, 9)

    diagram = cs.phase_diagram(
        ensemble, 128, (0.3, 0.6), near, matrices=5, signals=6, dtype=torch.float32
    )
    gap = np.abs(diagram.half() - cs.donoho_tanner(diagram.delta, ensemble.field))
    assert (gap < 0.04).all() and (gap < diagram.width() / 2).all()
    assert ((diagram.width() > 0.05) & (diagram.width() < 0.3)).all()
    assert diagram.undecided < 0.1
    assert (diagram.success[:, 0] > 0.9).all() and (diagram.success[:, -1] < 0.1).all()


def test_the_two_fields_have_different_transitions() -> None:
    """At a rho between the two curves complex signals are recovered and real ones are not."""
    rho = [float(cs.donoho_tanner(0.3, "real") + cs.donoho_tanner(0.3, "complex")) / 2]
    shares = {
        field: float(
            cs.phase_diagram(
                cs.Gaussian(field), 200, (0.3,), rho, matrices=4, signals=8, dtype=torch.float32
            ).success.mean()
        )
        for field in ("real", "complex")
    }
    assert shares["complex"] > shares["real"] + 0.4


def test_a_cell_depends_on_the_seed_and_on_nothing_beside_it() -> None:
    def diagram(deltas, seed: int = 0) -> cs.Diagram:
        return cs.phase_diagram(cs.Gaussian(), 40, deltas, (0.2, 0.4, 0.6), 3, 4, seed)

    wide, narrow = diagram((0.3, 0.5, 0.7)), diagram((0.5,))
    np.testing.assert_array_equal(wide.success[1], narrow.success[0])
    np.testing.assert_array_equal(wide.success, diagram((0.3, 0.5, 0.7)).success)
    assert (wide.success != diagram((0.3, 0.5, 0.7), seed=1).success).any()
    assert wide.delta.tolist() == [0.3, 0.5, 0.7] and wide.trials == 12 and wide.n == 40
    assert wide.rho[1].tolist() == [0.2, 0.4, 0.6]


def test_a_beaten_truth_is_a_failure_and_not_undecided() -> None:
    """Far above the curve every solve is decided at once, and no one is recovered; far below
    everyone is.
    """
    diagram = cs.phase_diagram(cs.Gaussian(), 60, (0.5,), (0.05, 0.9), 2, 10)
    assert diagram.success.tolist() == [[1.0, 0.0]] and diagram.undecided == 0


@pytest.mark.parametrize("field", ["real", "complex"])
def test_sparse_signals(field: str) -> None:
    signals = cs.sparse_signals([0, 1, 5, 30], 30, field, torch.Generator().manual_seed(0))
    assert (signals != 0).sum(-1).tolist() == [0, 1, 5, 30]
    assert signals.is_complex() == (field == "complex")
    np.testing.assert_allclose(signals[3].abs().numpy(), 1.0)
    assert len({complex(v) for v in signals[3]}) == (2 if field == "real" else 30)


def test_fourier_rows_are_rows_of_the_transform() -> None:
    signal = torch.randn(12, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    frequencies = torch.tensor([0, 3, 11])
    torch.testing.assert_close(
        cs.fourier_rows(frequencies, 12) @ signal, torch.fft.fft(signal, norm="ortho")[frequencies]
    )
    matrix = cs.PartialFourier().matrix(5, 12, torch.Generator().manual_seed(0))
    torch.testing.assert_close(matrix @ matrix.mH, torch.eye(5, dtype=torch.complex128))


def test_a_contour_that_is_not_there_is_nan() -> None:
    diagram = cs.Diagram(
        np.array([0.5, 0.5]),
        np.array([[0.1, 0.2, 0.3]] * 2),
        np.array([[1.0, 1, 1], [1, 0.5, 0]]),
        10,
        10,
        "real",
        0.0,
    )
    assert math.isnan(diagram.half()[0]) and diagram.half()[1] == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize(
    "call, word",
    [
        (lambda: cs.donoho_tanner(0.0), "delta"),
        (lambda: cs.donoho_tanner([0.5, 1.0]), "delta"),
        (lambda: cs.donoho_tanner(0.5, "quaternion"), "field"),
        (lambda: cs.Gaussian("imaginary"), "field"),
        (lambda: cs.PartialFourier("real"), "complex"),
        (lambda: cs.phase_diagram(cs.Gaussian(), 1), "n:"),
        (lambda: cs.phase_diagram(cs.Gaussian(), 20, matrices=0), "matrices"),
        (lambda: cs.phase_diagram(cs.Gaussian(), 20, (1.0,)), "deltas"),
        (lambda: cs.phase_diagram(cs.Gaussian(), 20, (0.5,), (2.5,)), "entries"),
    ],
)
def test_bad_input(call, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()
