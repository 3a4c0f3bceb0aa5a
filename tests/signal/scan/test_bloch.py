"""The signal equations agree with a Bloch simulation step by step, and with what radiologists
see.
"""

import math

import pytest

from deqlab.core.errors import InputError
from deqlab.signal.scan.bloch import (
    TISSUES,
    InversionRecovery,
    SpinEcho,
    SpoiledGradientEcho,
    Tissue,
    ernst_angle,
    inversion_null,
)

TISSUE = Tissue(t1=900, t2=80, pd=0.7)


def recover(longitudinal: float, time: float, tissue: Tissue) -> float:
    """Longitudinal magnetisation after `time`, from the Bloch equation dM/dt = (pd - M) / t1."""
    return tissue.pd + (longitudinal - tissue.pd) * math.exp(-time / tissue.t1)


def test_spin_echo_is_the_steady_state_of_its_pulses():
    sequence = SpinEcho(tr=700, te=40)
    longitudinal = TISSUE.pd
    for _ in range(60):
        signal = longitudinal * math.exp(-sequence.te / TISSUE.t2)
        after_echo_pulse = -recover(0.0, sequence.te / 2, TISSUE)
        longitudinal = recover(after_echo_pulse, sequence.tr - sequence.te / 2, TISSUE)
    assert sequence.signal(TISSUE) == pytest.approx(signal, rel=1e-12)


def test_inversion_recovery_is_the_steady_state_of_its_pulses():
    sequence = InversionRecovery(tr=2500, te=30, ti=600)
    longitudinal = TISSUE.pd
    for _ in range(60):
        longitudinal = recover(-longitudinal, sequence.ti, TISSUE)
        signal = longitudinal * math.exp(-sequence.te / TISSUE.t2)
        after_echo_pulse = -recover(0.0, sequence.te / 2, TISSUE)
        rest = sequence.tr - sequence.ti - sequence.te / 2
        longitudinal = recover(after_echo_pulse, rest, TISSUE)
    assert sequence.signal(TISSUE) == pytest.approx(signal, rel=1e-12)


def test_spoiled_gradient_echo_is_the_steady_state_of_its_pulses():
    sequence = SpoiledGradientEcho(tr=200, te=4, flip=70)
    longitudinal = TISSUE.pd
    for _ in range(200):
        signal = longitudinal * math.sin(math.radians(70)) * math.exp(-sequence.te / TISSUE.t2)
        longitudinal = recover(longitudinal * math.cos(math.radians(70)), sequence.tr, TISSUE)
    assert sequence.signal(TISSUE) == pytest.approx(signal, rel=1e-12)


def test_inversion_null_is_a_null():
    csf = TISSUES["csf"]
    time = inversion_null(9000, 100, csf.t1)
    assert InversionRecovery(9000, 100, time).signal(csf) == pytest.approx(0, abs=1e-12)
    assert inversion_null(1e9, 100, csf.t1) == pytest.approx(csf.t1 * math.log(2))


def test_ernst_angle_gives_most_signal():
    best = ernst_angle(200, 900)
    signals = [SpoiledGradientEcho(200, 4, best + d).signal(TISSUE) for d in (-2, 0, 2)]
    assert max(signals) == signals[1]


@pytest.mark.parametrize(
    ("sequence", "order"),
    [
        (SpinEcho(500, 12), ("fat", "white", "grey", "csf", "bone")),
        (SpinEcho(5000, 100), ("csf", "lesion", "grey", "white", "muscle", "bone")),
        (
            InversionRecovery(9000, 110, inversion_null(9000, 110, 4300)),
            ("lesion", "grey", "white", "csf"),
        ),
        (SpinEcho(3500, 15), ("grey", "white", "bone")),
    ],
)
def test_tissues_are_as_bright_as_in_the_clinic(sequence, order):
    signals = [abs(sequence.signal(TISSUES[name])) for name in order]
    assert signals == sorted(signals, reverse=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpinEcho(tr=100, te=100),
        lambda: SpinEcho(tr=100, te=0),
        lambda: InversionRecovery(tr=1000, te=10, ti=2000),
        lambda: InversionRecovery(tr=1000, te=0, ti=200),
        lambda: Tissue(t1=0, t2=10, pd=1),
        lambda: Tissue(t1=10, t2=10, pd=-1),
    ],
)
def test_impossible_physics_is_refused(make):
    with pytest.raises(InputError):
        make()
