"""How sparse must a signal be so that l1 finds it? The Donoho-Tanner curve by its formula, and the
diagram by experiment.

delta = m / n is the share of measurements, rho = k / m the number of entries for each measurement.
For random measurements of large problems the share of successes falls from 1 to 0 at a curve
rho(delta), sharply. D. L. Donoho and J. Tanner, Observed universality of phase transitions in
high-dimensional geometry, with implications for modern data analysis and signal processing, Phil.
Trans. R. Soc. A 367 (2009).

Over 300 lines: the curve and the diagram are read side by side, or not at all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import ndtr
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.theory.compressed_sensing.recovery import basis_pursuit_map, iterate, orthonormal_rows

FIELDS = ("real", "complex")


def donoho_tanner(delta: float | Sequence[float] | np.ndarray, field: str = "real") -> np.ndarray:
    """rho(delta), the weak threshold of l1: below it almost all signals of rho delta n entries are
    recovered from delta n Gaussian measurements.

    delta: in (0, 1). field: "real" for real signals and measurements, "complex" for complex ones,
    whose threshold is higher. Computed as the minimax risk of the soft threshold, rho = max over t
    of (1 - B(t) / delta) / (A(t) - B(t)): with noise of unit variance in each component, A is the
    risk of an entry that is large and B that of one that is zero. D. L. Donoho, A. Maleki and A.
    Montanari, Message-passing algorithms for compressed sensing, PNAS 106 (2009), eq. (5); complex:
    A. Maleki et al., Asymptotic analysis of complex LASSO via complex approximate message passing,
    IEEE Trans. Inf. Theory 59 (2013). The same curve is the one of face counting (Donoho and
    Tanner).
    """
    _check_field(field)
    values = np.asarray(delta, dtype=np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise InputError(f"delta: {delta} given, shares of measurements between 0 and 1 needed")
    return np.array([_threshold(value, field) for value in values.flat]).reshape(values.shape)


class Ensemble(Protocol):
    """What measurements are drawn from. field: "real" or "complex", of the signals."""

    @property
    def field(self) -> str: ...

    def matrix(self, m: int, n: int, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class Gaussian:
    """Independent standard normal entries; real, or complex ones for complex signals."""

    field: str = "real"

    def __post_init__(self) -> None:
        _check_field(self.field)

    def matrix(self, m: int, n: int, generator: torch.Generator) -> Tensor:
        """One draw, (m, n), in double precision."""
        return torch.randn(
            m,
            n,
            dtype=torch.float64 if self.field == "real" else torch.complex128,
            generator=generator,
        )


@dataclass(frozen=True)
class PartialFourier:
    """m of the n frequencies of the orthonormal Fourier transform, chosen at random, of complex
    signals.
    """

    field: str = "complex"

    def __post_init__(self) -> None:
        if self.field != "complex":
            raise InputError(
                f"field: {self.field!r} given; Fourier measurements are complex, take complex"
                " signals"
            )

    def matrix(self, m: int, n: int, generator: torch.Generator) -> Tensor:
        """One draw, (m, n), in double precision."""
        frequencies = torch.randperm(n, generator=generator)[:m].sort().values
        return fourier_rows(frequencies, n)


@dataclass(frozen=True)
class Diagram:
    """Shares of success on a grid of delta and rho.

    delta: m / n, (deltas,). rho: k / m as drawn, (deltas, rhos). success: share of signals
        recovered, float64 (deltas, rhos). n: length of the signals.
    trials: signals in each cell. field: "real" or "complex". undecided: share of solves that ended
    at the cap of iterations, neither at rest nor beaten by a signal of smaller norm.
    """

    delta: np.ndarray
    rho: np.ndarray
    success: np.ndarray
    n: int
    trials: int
    field: str
    undecided: float

    def half(self) -> np.ndarray:
        """rho at which one half of the signals is recovered, (deltas,), by logistic regression; NaN
        where all are recovered, or none.
        """
        return self._fits()[:, 0]

    def width(self) -> np.ndarray:
        """The interval of rho in which the share falls from 90 % to 10 %, (deltas,), by the same
        regression; it narrows like 1 / sqrt(n).
        """
        return self._fits()[:, 1]

    def _fits(self) -> np.ndarray:
        return np.array(
            [_logistic(rho, share, self.trials) for rho, share in zip(self.rho, self.success)]
        )


@torch.no_grad()
def phase_diagram(
    ensemble: Ensemble,
    n: int = 128,
    deltas: Sequence[float] = tuple(np.linspace(0.1, 0.9, 9)),
    rhos: Sequence[float] | Callable[[float], Sequence[float]] = tuple(np.linspace(0.05, 0.95, 19)),
    matrices: int = 4,
    signals: int = 5,
    seed: int = 0,
    max_iterations: int = 1000,
    dtype: torch.dtype = torch.float64,
    progress: Callable[[str], None] | None = None,
) -> Diagram:
    """The Diagram of l1 recovery: for each cell `matrices` draws of the ensemble with `signals`
    sparse signals each.

    ensemble: Gaussian() or PartialFourier(), or any other `Ensemble`. rhos: shares k / m, rounded
    to whole k >= 1; or a function of delta that gives them, to look closely at a transition. A
    signal has k entries of modulus 1 at random places, with random signs or phases: whether l1
    recovers it depends on nothing else. Recovered means ||x - signal|| <= 1e-3 ||signal||.
    dtype: the real one of the computation; float32 is enough for that accuracy. seed: a cell
    depends on it and on delta, rhos and counts, not on the other deltas. progress: called with a
    label before each delta. Raises InputError for shares outside (0, 1) and for counts below 1.
    """
    _check_counts(n=n, matrices=matrices, signals=signals, max_iterations=max_iterations)
    table_delta, table_rho, table_success, undecided = [], [], [], []
    for delta in deltas:
        if not 0 < delta < 1:
            raise InputError(
                f"deltas: {delta} given, shares of measurements between 0 and 1 needed"
            )
        if progress is not None:
            progress(f"delta {delta:.2f}")
        m = min(max(round(delta * n), 1), n - 1)
        counts = [max(1, round(rho * m)) for rho in (rhos(delta) if callable(rhos) else rhos)]
        if any(count > n for count in counts):
            raise InputError(f"rhos: {max(counts)} entries asked for in a signal of {n}")
        recovered, open_ = zip(
            *(
                _trials(ensemble, m, n, counts, signals, [seed, m, draw], max_iterations, dtype)
                for draw in range(matrices)
            )
        )
        table_delta.append(m / n)
        table_rho.append(np.array(counts) / m)
        table_success.append(np.mean(recovered, axis=0))
        undecided.append(np.mean(open_))
    return Diagram(
        np.array(table_delta),
        np.stack(table_rho),
        np.stack(table_success),
        n,
        matrices * signals,
        ensemble.field,
        float(np.mean(undecided)),
    )


def sparse_signals(counts: Sequence[int], n: int, field: str, generator: torch.Generator) -> Tensor:
    """For each count a signal with so many entries of modulus 1 at random places, random signs or
    phases: (len(counts), n), double precision.
    """
    _check_field(field)
    order = (
        torch.rand(len(counts), n, generator=generator, dtype=torch.float64).argsort(-1).argsort(-1)
    )
    support = order < torch.tensor(list(counts))[:, None]
    draw = torch.rand(len(counts), n, generator=generator, dtype=torch.float64)
    values = (
        torch.where(draw < 0.5, -1.0, 1.0).to(torch.float64)
        if field == "real"
        else torch.exp(2j * math.pi * draw)
    )
    return support * values


def fourier_rows(frequencies: Tensor, n: int) -> Tensor:
    """exp(-2 pi i f t / n) / sqrt(n) for the `frequencies` f, (m, n) complex128: orthonormal
    rows.
    """
    turns = (frequencies.to(torch.float64)[:, None] * torch.arange(n, dtype=torch.float64)) % n
    return torch.exp(-2j * math.pi * turns / n) / math.sqrt(n)


def _trials(
    ensemble: Ensemble,
    m: int,
    n: int,
    counts: list[int],
    signals: int,
    key: list[int],
    max_iterations: int,
    dtype: torch.dtype,
) -> tuple[np.ndarray, float]:
    """One matrix: the share recovered for each count, (counts,), and the share of solves that
    reached the cap.
    """
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    )
    matrix = ensemble.matrix(m, n, generator)
    truth = sparse_signals(
        [count for count in counts for _ in range(signals)], n, ensemble.field, generator
    )
    precision = dtype.to_complex() if truth.is_complex() else dtype
    rows, data = orthonormal_rows(matrix, truth @ matrix.mT)
    rows = type(rows)(rows.matrix.to(precision))
    size = truth.abs().sum(-1)

    def beaten(signals: Tensor, members: Tensor) -> Tensor:
        # Another signal that explains the measurements has the smaller norm: l1 will not return the
        # truth, wherever it ends.
        return signals.abs().sum(-1) < (1 - 1e-4) * size[members]

    recovery = iterate(basis_pursuit_map(rows, data.to(precision)), 1e-5, max_iterations, beaten)
    failed = beaten(recovery.signal, torch.arange(len(truth)))
    error = torch.linalg.vector_norm(recovery.signal - truth, dim=-1) / torch.linalg.vector_norm(
        truth, dim=-1
    )
    share = (~failed & (error <= 1e-3)).to(torch.float64).reshape(len(counts), signals).mean(-1)
    return share.numpy(), float((~failed & ~recovery.converged).double().mean())


def _risks(t: float, field: str) -> tuple[float, float]:
    """A(t) and B(t): risk of the soft threshold t for each component of unit noise, at an entry
    that is large, and at zero.
    """
    density, tail = math.exp(-t * t / 2) / math.sqrt(2 * math.pi), float(ndtr(-t))
    if field == "real":
        return 1 + t * t, 2 * ((1 + t * t) * tail - t * density)
    # Magnitude of two components: Rayleigh. E (r - t)_+^2 = 2 (exp(-t^2 / 2) - t sqrt(2 pi) tail).
    return 1 + t * t / 2, math.sqrt(2 * math.pi) * (density - t * tail)


def _threshold(delta: float, field: str) -> float:
    def negative(t: float) -> float:
        large, zero = _risks(t, field)
        return -(1 - zero / delta) / (large - zero)

    # The maximum moves to large t as delta falls, about sqrt(2 log(1 / delta)).
    bound = 4 + math.sqrt(2 * math.log(1 / delta))
    return -float(
        minimize_scalar(
            negative, bounds=(1e-6, bound), method="bounded", options={"xatol": 1e-10}
        ).fun
    )


def _logistic(rho: np.ndarray, share: np.ndarray, trials: int) -> tuple[float, float]:
    """Where the logistic curve that is most likely for these shares passes one half, and over which
    interval it falls from 0.9 to 0.1.
    """
    if share.max() < 0.5 or share.min() > 0.5:
        return math.nan, math.nan
    middle = float(np.interp(-0.5, -np.minimum.accumulate(share), rho))

    def deviance(parameters: np.ndarray) -> float:
        slope = (rho - parameters[0]) * math.exp(parameters[1])
        return float(
            trials * np.sum(share * np.logaddexp(0, slope) + (1 - share) * np.logaddexp(0, -slope))
        )

    # Perfect separation would make the slope grow without bound: it is held within what a grid can
    # tell.
    spacing = max(float(np.min(np.diff(np.unique(rho)), initial=1.0)), 1e-3)
    bounds = [(float(rho.min()), float(rho.max())), (0.0, math.log(4 / spacing))]
    half, steepness = minimize(
        deviance, [middle, math.log(1 / spacing)], bounds=bounds, method="L-BFGS-B"
    ).x
    return float(half), 2 * math.log(9) * math.exp(-steepness)


def _check_field(field: str) -> None:
    if field not in FIELDS:
        raise InputError(f"field: {field!r} given, one of {', '.join(FIELDS)} is needed")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if not (isinstance(value, int) and value >= (2 if name == "n" else 1)):
            raise InputError(
                f"{name}: {value!r} given, a whole number from {2 if name == 'n' else 1} on is"
                " needed"
            )
