"""Signal of a tissue in clinical sequences, from the Bloch equations in the steady state. All times
are in ms.

A sequence is a frozen dataclass whose `signal(tissue)` is the transverse magnetisation at the echo,
in units of the proton density of CSF. Echo trains are described by their effective echo time.
"""

from dataclasses import dataclass
from math import acos, cos, degrees, exp, log, radians, sin

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.errors import InputError


@dataclass(frozen=True)
class Tissue:
    """Relaxation times t1 and t2 in ms and proton density pd relative to CSF."""

    t1: float
    t2: float
    pd: float

    def __post_init__(self) -> None:
        if not (self.t1 > 0 and self.t2 > 0 and self.pd >= 0):
            raise InputError(f"tissue: {self} given; t1 and t2 must be positive, pd not negative")


# Typical values at 3 T, rounded. White and grey matter: Wansapura et al., J Magn Reson Imaging
# 9:531 (1999). Muscle, marrow and subcutaneous fat: Gold et al., Am J Roentgenol 183:343 (2004).
# CSF relaxes nearly like water. Lesion, skin and bone are plausible, not measured; bone is
# cortical, and proton densities are relative to CSF.
TISSUES = {
    "white": Tissue(t1=832, t2=80, pd=0.70),
    "grey": Tissue(t1=1331, t2=105, pd=0.82),
    "csf": Tissue(t1=4300, t2=1500, pd=1.00),
    "lesion": Tissue(t1=1450, t2=170, pd=0.88),
    "fat": Tissue(t1=371, t2=133, pd=0.80),
    "marrow": Tissue(t1=365, t2=133, pd=0.55),
    "muscle": Tissue(t1=1420, t2=32, pd=0.80),
    "skin": Tissue(t1=900, t2=35, pd=0.70),
    "bone": Tissue(t1=250, t2=1, pd=0.20),
}


def longitudinal(tissue: Tissue, time: ArrayLike, start: float = 0.0) -> np.ndarray:
    """Magnetisation along the field, `time` ms after it was `start`: pd + (start - pd)
    exp(-time/t1).

    time: a number or an array. start: 0 after a pulse of 90 degrees, -pd after one of 180. It
    returns to pd whatever happened, and this wait is what makes MRI slow. Source: F. Bloch, Nuclear
    induction, Phys Rev 70:460 (1946).
    """
    return tissue.pd + (start - tissue.pd) * np.exp(-_elapsed(time) / tissue.t1)


def transverse(tissue: Tissue, time: ArrayLike, start: float = 1.0) -> np.ndarray:
    """Magnetisation across the field, which is what a coil receives, `time` ms after it was
    `start`: start exp(-time/t2).

    time: a number or an array. Source: F. Bloch, Nuclear induction, Phys Rev 70:460 (1946).
    """
    return start * np.exp(-_elapsed(time) / tissue.t2)


@dataclass(frozen=True)
class SpinEcho:
    """90 degrees, then 180 degrees at te / 2: T1, proton-density or T2 weighting, as tr and te are
    chosen.
    """

    tr: float
    te: float

    def __post_init__(self) -> None:
        _check(self)

    def signal(self, tissue: Tissue) -> float:
        """pd (1 - 2 exp(-(tr - te/2)/t1) + exp(-tr/t1)) exp(-te/t2).

        Source: Bernstein, King and Zhou, Handbook of MRI Pulse Sequences (2004), section 14.3.
        """
        recovered = 1 - 2 * exp(-(self.tr - self.te / 2) / tissue.t1) + exp(-self.tr / tissue.t1)
        return tissue.pd * recovered * exp(-self.te / tissue.t2)


@dataclass(frozen=True)
class InversionRecovery:
    """180 degrees, wait ti, then a spin echo; with ti at the null of CSF this is FLAIR."""

    tr: float
    te: float
    ti: float

    def __post_init__(self) -> None:
        _check(self)

    def signal(self, tissue: Tissue) -> float:
        """pd (1 - 2 exp(-ti/t1) + 2 exp(-(tr - te/2)/t1) - exp(-tr/t1)) exp(-te/t2); negative
        before the null.

        Source: Bernstein, King and Zhou, Handbook of MRI Pulse Sequences (2004), section 14.2.
        """
        recovered = (
            1
            - 2 * exp(-self.ti / tissue.t1)
            + 2 * exp(-(self.tr - self.te / 2) / tissue.t1)
            - exp(-self.tr / tissue.t1)
        )
        return tissue.pd * recovered * exp(-self.te / tissue.t2)


@dataclass(frozen=True)
class SpoiledGradientEcho:
    """Excitation by `flip` degrees every tr, transverse magnetisation spoiled; t2 stands for
    T2*.
    """

    tr: float
    te: float
    flip: float

    def __post_init__(self) -> None:
        _check(self)

    def signal(self, tissue: Tissue) -> float:
        """pd sin(flip) (1 - E) / (1 - E cos(flip)) exp(-te/t2) with E = exp(-tr/t1).

        Source: Ernst and Anderson, Rev Sci Instrum 37:93 (1966).
        """
        relaxed, angle = exp(-self.tr / tissue.t1), radians(self.flip)
        return (
            tissue.pd
            * sin(angle)
            * (1 - relaxed)
            / (1 - relaxed * cos(angle))
            * exp(-self.te / tissue.t2)
        )


Sequence = SpinEcho | InversionRecovery | SpoiledGradientEcho


def ernst_angle(tr: float, t1: float) -> float:
    """The flip angle in degrees with the highest signal of a spoiled gradient echo, for tr and t1
    in ms.
    """
    return degrees(acos(exp(-tr / t1)))


def inversion_null(tr: float, te: float, t1: float) -> float:
    """The inversion time in ms at which `InversionRecovery(tr, te, ti)` gives no signal from a
    tissue of that t1.

    t1 ln 2 for a long tr, and less for a short one: ti = -t1 ln((1 + 2 exp(-(tr - te/2)/t1) -
    exp(-tr/t1)) / 2).
    """
    return -t1 * log((1 + 2 * exp(-(tr - te / 2) / t1) - exp(-tr / t1)) / 2)


def scan_time(tr: float, lines: int, averages: int = 1) -> float:
    """Seconds that a scan takes, at one of `lines` phase-encode lines per repetition of `tr` ms."""
    if not (tr > 0 and lines >= 1 and averages >= 1):
        raise InputError(
            f"scan time: tr {tr} ms, {lines} lines, {averages} averages given; positive numbers"
            " needed"
        )
    return tr * lines * averages / 1000


def _elapsed(time: ArrayLike) -> np.ndarray:
    elapsed = np.asarray(time, dtype=np.float64)
    if not (elapsed >= 0).all():
        raise InputError(f"time: {elapsed.min():g} ms given, 0 or more needed")
    return elapsed


def _check(sequence: Sequence) -> None:
    if (
        not 0 < sequence.te < sequence.tr
        or not 0 < getattr(sequence, "ti", sequence.te) < sequence.tr
    ):
        raise InputError(
            f"sequence: {sequence} given; times in ms, te and ti positive and below tr"
        )
