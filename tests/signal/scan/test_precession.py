"""Rotations and relaxation solve the Bloch equations, and settle where the signal equations say."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deqlab.core.errors import InputError
from deqlab.signal.scan.bloch import (
    TISSUES,
    InversionRecovery,
    SpinEcho,
    SpoiledGradientEcho,
    Tissue,
    inversion_null,
    longitudinal,
    scan_time,
    transverse,
)
from deqlab.signal.scan.precession import (
    Pulse,
    Readout,
    Spoil,
    Wait,
    about_x,
    about_z,
    evolve,
    repetition,
    steady_state,
)

SEQUENCES = (
    SpinEcho(500, 12),
    SpinEcho(5000, 100),
    SpinEcho(120, 90),
    InversionRecovery(9000, 110, inversion_null(9000, 110, 4300)),
    InversionRecovery(700, 20, 150),
    SpoiledGradientEcho(8, 3, 12),
    SpoiledGradientEcho(250, 5, 70),
)


@pytest.mark.parametrize("offset", [0.0, 37.0])
def test_wait_solves_the_bloch_equations(offset):
    tissue, start, time = Tissue(300, 70, 0.8), np.array([0.3, -0.5, -0.2]), 45.0
    field = np.array([0, 0, 2e-3 * np.pi * offset])  # radians per ms, along the main field

    def bloch(_, m):
        return np.cross(m, field) - [
            m[0] / tissue.t2,
            m[1] / tissue.t2,
            (m[2] - tissue.pd) / tissue.t1,
        ]

    truth = solve_ivp(bloch, (0, time), start, rtol=1e-10, atol=1e-12).y[:, -1]
    assert evolve(start, [Wait(time)], tissue, offset)[0] == pytest.approx(truth, abs=1e-8)


@pytest.mark.parametrize("phase", [0.0, 90.0, 30.0])
def test_pulse_is_what_a_strong_short_field_does(phase):
    tissue, flip, start = Tissue(1e9, 1e9, 0.0), np.radians(70), np.array([0.1, 0.2, 0.9])
    axis = np.array([np.cos(np.radians(phase)), np.sin(np.radians(phase)), 0])
    truth = solve_ivp(
        lambda _, m: np.cross(m, flip * axis), (0, 1), start, rtol=1e-10, atol=1e-12
    ).y[:, -1]
    assert evolve(start, [Pulse(70, phase)], tissue)[0] == pytest.approx(truth, abs=1e-8)


def test_rotations_keep_lengths_and_add_up():
    for about in (about_x, about_z):
        assert about(0.3) @ about(0.3).T == pytest.approx(np.eye(3))
        assert about(0.3) @ about(0.5) == pytest.approx(about(0.8))


@pytest.mark.parametrize("tissue", ["white", "csf", "fat", "bone"])
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_signal_equations_are_its_steady_state(sequence, tissue):
    tissue, steps = TISSUES[tissue], repetition(sequence)
    settled = steady_state(steps, tissue)
    after, signals = evolve(settled, steps, tissue)
    assert after == pytest.approx(settled, abs=1e-12)
    # Along y, where a 90 degree pulse about x puts it: sign and all, as an inverted tissue is
    # negative.
    assert signals[0] == pytest.approx(1j * sequence.signal(tissue), abs=1e-12)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_repeating_settles_there(sequence):
    tissue, steps = TISSUES["fat"], repetition(sequence)
    magnetisation = np.array([0, 0, tissue.pd])
    for _ in range(400):
        magnetisation, signals = evolve(magnetisation, steps, tissue)
    assert abs(signals[0]) == pytest.approx(abs(sequence.signal(tissue)), abs=1e-6)


def test_spin_echo_undoes_off_resonance_and_gradient_echo_does_not():
    tissue, offsets = TISSUES["grey"], np.linspace(-60, 60, 25)
    start = np.array([0, 0, tissue.pd])
    echoes = evolve(start, repetition(SpinEcho(2000, 80)), tissue, offsets)[1][0]
    assert echoes == pytest.approx(np.full(25, echoes[12]), abs=1e-12)
    fids = evolve(start, repetition(SpoiledGradientEcho(2000, 40, 90)), tissue, offsets)[1][0]
    assert np.abs(fids) == pytest.approx(np.full(25, np.abs(fids[12])), abs=1e-12)
    assert np.abs(fids.mean()) < 0.3 * np.abs(fids[12])
    # A higher field turns the signal back, by exp(-2 pi i f te).
    assert fids / fids[12] == pytest.approx(np.exp(-2j * np.pi * offsets * 0.040), abs=1e-12)


def test_balanced_steady_state_is_known():
    """Freeman and Hill, J Magn Reson 4:366 (1971): without spoiling and with alternating pulses, on
    resonance.
    """
    tissue, tr, flip = Tissue(900, 80, 0.7), 5.0, 40.0
    steps = [Pulse(flip), Readout(), Wait(tr), Pulse(flip, 180), Readout(), Wait(tr)]
    signals = evolve(steady_state(steps, tissue), steps, tissue)[1]
    first, second = np.exp(-tr / tissue.t1), np.exp(-tr / tissue.t2)
    angle = np.radians(flip)
    truth = (
        tissue.pd
        * np.sin(angle)
        * (1 - first)
        / (1 - (first - second) * np.cos(angle) - first * second)
    )
    assert np.abs(signals) == pytest.approx([truth, truth], rel=1e-12)


def test_relaxation_curves_are_waits():
    tissue, times = TISSUES["white"], np.linspace(0, 3000, 7)
    states = np.array([evolve([0.4, 0, -0.3], [Wait(time)], tissue)[0] for time in times])
    assert longitudinal(tissue, times, start=-0.3) == pytest.approx(states[:, 2])
    assert transverse(tissue, times, start=0.4) == pytest.approx(states[:, 0])
    # After t1 all but a share 1/e has come back, after t2 a share 1/e is left.
    assert longitudinal(tissue, tissue.t1) == pytest.approx(tissue.pd * (1 - np.exp(-1)))
    assert transverse(tissue, tissue.t2) == pytest.approx(np.exp(-1))


def test_spoiling_leaves_what_is_along_the_field():
    assert evolve([0.5, -0.4, 0.3], [Spoil()], TISSUES["fat"])[0] == pytest.approx([0, 0, 0.3])


def test_scan_time_is_one_line_a_repetition():
    assert scan_time(500, 256) == pytest.approx(128)
    assert scan_time(2000, 128, averages=2) == pytest.approx(512)


def test_impossible_physics_is_refused():
    for call in (
        lambda: Wait(-1),
        lambda: longitudinal(TISSUES["fat"], -1.0),
        lambda: transverse(TISSUES["fat"], [0, -5.0]),
        lambda: scan_time(0, 256),
        lambda: scan_time(500, 0),
        lambda: repetition("spin echo"),
    ):
        with pytest.raises(InputError):
            call()
