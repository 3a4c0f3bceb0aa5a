"""The Bloch equations solved exactly, step by step: pulses rotate, waits precess and relax. All
times are in ms.

A repetition is a list of steps. One pass through it is an affine map of the magnetisation, m -> R m
+ b, so the state that it settles in is a fixed point, found by solving (I - R) m = b. The signal
equations of `bloch` are closed forms of just that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.errors import InputError
from deqlab.signal.scan.bloch import Sequence, SpinEcho, SpoiledGradientEcho, Tissue


@dataclass(frozen=True)
class Pulse:
    """An instantaneous rotation by `flip` degrees about an axis across the field, `phase` degrees
    from x.
    """

    flip: float
    phase: float = 0.0


@dataclass(frozen=True)
class Wait:
    """Free precession and relaxation for `time` ms."""

    time: float

    def __post_init__(self) -> None:
        if not self.time >= 0:
            raise InputError(f"wait: {self.time} ms given, 0 or more needed")


@dataclass(frozen=True)
class Spoil:
    """A gradient that disperses the transverse magnetisation: none is left of its mean."""


@dataclass(frozen=True)
class Readout:
    """The moment at which the signal is read."""


Step = Pulse | Wait | Spoil | Readout


def repetition(sequence: Sequence) -> list[Step]:
    """One repetition of a sequence as steps, from its first pulse to the end of tr, spoiled at the
    end.
    """
    if not isinstance(sequence, Sequence):
        raise InputError(
            f"sequence: {sequence!r} given, a spin echo, inversion recovery or gradient echo needed"
        )
    half = sequence.te / 2
    if isinstance(sequence, SpoiledGradientEcho):
        return [
            Pulse(sequence.flip),
            Wait(sequence.te),
            Readout(),
            Wait(sequence.tr - sequence.te),
            Spoil(),
        ]
    # The refocusing pulse turns about the axis along which the magnetisation lies after the 90
    # degrees.
    echo: list[Step] = [Pulse(90), Wait(half), Pulse(180, phase=90), Wait(half), Readout()]
    if isinstance(sequence, SpinEcho):
        return [*echo, Wait(sequence.tr - sequence.te), Spoil()]
    return [
        Pulse(180),
        Wait(sequence.ti),
        *echo,
        Wait(sequence.tr - sequence.ti - sequence.te),
        Spoil(),
    ]


def evolve(
    magnetisation: np.ndarray, steps: list[Step], tissue: Tissue, offset: ArrayLike = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The magnetisation after the steps, (..., 3), and the signals Mx + i My at each of their
    readouts, complex (readouts, ...).

    magnetisation: (..., 3) along x, y, z in a frame that turns with the field, in units of CSF's
    proton density. offset: off-resonance in Hz, a number or an array that fits (...). Rotations are
    left-handed, as dM/dt = gamma M x B: a 90 degree pulse about x turns z into y.
    """
    magnetisation = np.asarray(magnetisation, dtype=np.float64)
    offset = np.asarray(offset, dtype=np.float64)
    magnetisation = np.broadcast_to(
        magnetisation, np.broadcast_shapes(magnetisation.shape, (*offset.shape, 3))
    )
    signals = []
    for step in steps:
        if isinstance(step, Readout):
            signals.append(magnetisation[..., 0] + 1j * magnetisation[..., 1])
            continue
        matrix, shift = affine(step, tissue, offset)
        magnetisation = np.einsum("...ij,...j->...i", matrix, magnetisation) + shift
    return magnetisation, np.array(signals)


def steady_state(steps: list[Step], tissue: Tissue, offset: float = 0.0) -> np.ndarray:
    """The magnetisation (3,) that one pass through the steps brings back: (I - R) m = b, solved."""
    matrix, shift = np.eye(3), np.zeros(3)
    for step in steps:
        if not isinstance(step, Readout):
            turn, move = affine(step, tissue, np.asarray(offset))
            matrix, shift = turn @ matrix, turn @ shift + move
    return np.linalg.solve(np.eye(3) - matrix, shift)


def affine(
    step: Pulse | Wait | Spoil, tissue: Tissue, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """R (..., 3, 3) and b (3,) of a step's map m -> R m + b, for `offset` (...) in Hz."""
    if isinstance(step, Pulse):
        flip, phase = np.radians(step.flip), np.radians(step.phase)
        return about_z(phase) @ about_x(flip) @ about_z(-phase), np.zeros(3)
    if isinstance(step, Spoil):
        return np.diag([0.0, 0.0, 1.0]), np.zeros(3)
    kept = np.exp(-step.time / tissue.t1)
    lost = np.exp(-step.time / tissue.t2)
    # Precession by 2 pi f t, t in seconds, from x towards -y: left-handed about the field.
    return about_z(-2e-3 * np.pi * offset * step.time) @ np.diag([lost, lost, kept]), np.array(
        [0, 0, tissue.pd * (1 - kept)]
    )


def about_x(angle: float) -> np.ndarray:
    """The left-handed rotation about x by `angle` radians: z turns towards y."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])


def about_z(angle: ArrayLike) -> np.ndarray:
    """The right-handed rotation about z by `angle` radians, x turns towards y: (..., 3, 3) for an
    array (...).
    """
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    rows = [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, zero + 1]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))
