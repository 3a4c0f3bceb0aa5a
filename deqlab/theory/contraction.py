"""How strongly each fixed-point map must contract, from what is known of the denoiser and of A^H A:
bounds, not measurements.

Two facts go in. The denoiser is R = a I + N with Lip(N) <= q (`DenoiserBound`): a = 1 for a
residual network, a = 0 for one whose own Lipschitz constant is bounded, a = 1/2 and q <= 1/2 for an
averaged one. The eigenvalues of A^H A lie between mu and L (`Spectrum`). Every map is then B1 + B2
N(B3 .) with functions B of A^H A, so that its Lipschitz constant is at most the sum of the norms,
and each norm is a maximum over [mu, L] that is reached at one of its ends. A map with a bound below
1 has exactly one fixed point, and Picard iteration finds it at that rate from anywhere (Banach).
`deqlab.theory.jacobian_split` measures what these functions bound.

With mu = 0 (every undersampled A) and a = 1 none of the four is ever below 1: take N = q I and an
image in the null space. DE-Ridge knows more than a Lipschitz constant: its D = I - R is the
gradient of an energy, whose Hessian lies between two numbers (`Curvature`).
"""

import math
from dataclasses import dataclass

from torch import nn

from deqlab.core.errors import InputError, positive


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of A^H A lie in [lowest, largest]. The default holds for every A of norm at
    most 1, undersampled or not.
    """

    lowest: float = 0.0
    largest: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.lowest <= self.largest < math.inf:
            raise InputError(
                f"spectrum: [{self.lowest}, {self.largest}] given, 0 <= lowest <= largest < inf"
                " needed"
            )

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends: where a function that is convex in an eigenvalue, or a Moebius function's
        modulus, is largest.
        """
        return self.lowest, self.largest


@dataclass(frozen=True)
class DenoiserBound:
    """R = identity * I + N with Lip(N) <= lipschitz."""

    identity: float
    lipschitz: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.identity):
            raise InputError(f"identity: {self.identity} given, a finite number needed")
        if not 0 <= self.lipschitz < math.inf:
            raise InputError(f"lipschitz: {self.lipschitz} given, a finite number >= 0 needed")

    @classmethod
    def of(cls, denoiser: nn.Module) -> "DenoiserBound":
        """What a `DnCNN(lipschitz=...)` promises after every `project_`; InputError for a denoiser
        that promises nothing.
        """
        lipschitz = getattr(denoiser, "lipschitz", None)
        if lipschitz is None:
            raise InputError(
                "lipschitz: the denoiser has no Lipschitz bound; build it with one, as"
                " DnCNN(lipschitz=0.9)"
            )
        return cls(1.0 if denoiser.residual else 0.0, lipschitz)

    @property
    def total(self) -> float:
        """Upper bound on Lip(R)."""
        return abs(self.identity) + self.lipschitz


@dataclass(frozen=True)
class Curvature:
    """The eigenvalues of the regulariser's Hessian lie in [lowest, largest]: it is convex where
    lowest >= 0, and rho-weakly convex for rho = -lowest.
    """

    lowest: float
    largest: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.lowest <= self.largest < math.inf:
            raise InputError(
                f"curvature: [{self.lowest}, {self.largest}] given, finite lowest <= largest needed"
            )

    @classmethod
    def of(cls, denoiser: nn.Module) -> "Curvature":
        """What a `Ridge` promises after every `project_`; InputError for a denoiser that is no step
        along a gradient.
        """
        ends = getattr(denoiser, "curvature", None)
        if ends is None:
            raise InputError("curvature: the denoiser has no energy; a ridge needed")
        return cls(*ends)


def de_prox(denoiser: DenoiserBound, spectrum: Spectrum, step: float) -> float:
    """Lip(f) <= Lip(R) max |1 - eta lambda| for DE-Prox, f(x) = R(x - eta A^H (A x - y)).

    That is (1 + eps) max |1 - eta lambda| for R = I + N. Reached by N = q I. Source: D. Gilton, G.
    Ongie and R. Willett, Deep equilibrium architectures for inverse problems in imaging, IEEE TCI 7
    (2021), theorem on DE-Prox, which asks for mu > 0.
    """
    step = positive("step", step)
    return denoiser.total * max(abs(1 - step * eigenvalue) for eigenvalue in spectrum.ends)


def de_grad(denoiser: DenoiserBound, spectrum: Spectrum, step: float, weight: float = 1.0) -> float:
    """Lip(f) <= max |1 - eta (lambda + w (1 - a))| + eta w q for DE-Grad, f(x) = x - eta (A^H (A x
    - y) + w (x - R(x))).

    f = (I - eta A^H A - eta w (1 - a) I) + eta w N. For a = 0, w = 1 and eta <= 1 / (1 + L) it is 1
    - eta (1 + mu) + eta q, the bound of Gilton, Ongie and Willett (theorem on DE-Grad; their R is x
        - R(x) here). Reached by N = q I for small eta.
    """
    step, weight = positive("step", step), positive("weight", weight)
    shrink = weight * (1 - denoiser.identity)
    return (
        max(abs(1 - step * (eigenvalue + shrink)) for eigenvalue in spectrum.ends)
        + step * weight * denoiser.lipschitz
    )


def de_ridge(curvature: Curvature, spectrum: Spectrum, step: float, weight: float = 1.0) -> float:
    """Lip(f) <= max |1 - eta e| over e in [mu + w m, L + w M] for DE-Ridge, f(x) = x - eta (A^H (A
    x - y) + w grad E(x)), the Hessian of E in [m, M].

    The Jacobian is symmetric, so its norm is its largest eigenvalue's modulus, and the Hessian of
    the energy lies between the sums of the ends. Reached by a quadratic E, a multiple of the
    identity. `de_grad` knows of the same denoiser no more than a = 1 and q = max(|m|, M), and for
    mu = 0 is never below 1. Source: Yu. Nesterov, Introductory lectures on convex optimization
    (2004), section 2.1.5.
    """
    step, weight = positive("step", step), positive("weight", weight)
    return max(abs(1 - step * e) for e in _hessian(curvature, spectrum, weight))


def _hessian(curvature: Curvature, spectrum: Spectrum, weight: float) -> tuple[float, float]:
    return (
        spectrum.lowest + weight * curvature.lowest,
        spectrum.largest + weight * curvature.largest,
    )


def de_admm(denoiser: DenoiserBound, spectrum: Spectrum, step: float) -> float:
    """Lip(T) <= max |1 - p + a (2 p - 1)| + q max |2 p - 1|, p = 1 / (1 + s lambda), for DE-ADMM as
    one image, s = 1 / rho.

    With P = (I + s A^H A)^-1 ADMM is T(w) = (I - P) w + (2 P - I) R(w) + const in w = x + u
    (`DouglasRachfordMap`), that is w/2 + (2 P - I)(2 R - I) w / 2. The Jacobian in (z, u) has the
    same eigenvalues but for zeros and another norm.

    a = 1: 1 / (1 + s mu) + q max |2 p - 1|, below 1 only where mu > 0 and q is small. The theorem
    on DE-ADMM of Gilton, Ongie and Willett assumes this strong convexity too; it is that of E. Ryu
    et al., Plug-and-play methods provably converge with properly trained denoisers, ICML 2019,
    which knows mu but not L and asks for eps / ((1 + eps - 2 eps^2) mu) < s, eps < 1. a = 0 and mu
    = 0: s L / (1 + s L) + q, below 1 for s < (1 - q) / (q L): a small step, a large rho. a = 1/2
    and mu = 0, R = (I + Q) / 2 with Lip(Q) <= 2 q < 1: 1/2 + q, below 1 for every step.
    """
    step = positive("step", step)
    kept = [1 / (1 + step * eigenvalue) for eigenvalue in spectrum.ends]
    linear = max(abs(1 - p + denoiser.identity * (2 * p - 1)) for p in kept)
    return linear + denoiser.lipschitz * max(abs(2 * p - 1) for p in kept)


def mol(denoiser: DenoiserBound, spectrum: Spectrum, step: float, weight: float = 1.0) -> float:
    """Lip(f) <= (|1 - alpha (1 - a)| + alpha q) / (1 + alpha mu / w) for MOL, where the denoiser H
    itself is bounded.

    f(x) = (I + alpha / w A^H A)^-1 (x - alpha (x - H(x)) + alpha / w A^H y). Reached by N = q I.
    With a = 0, m = 1 - q, mu = 0 and alpha <= 1 it is 1 - alpha m: less than what `mol_monotone`
    says, because a bound on Lip(H) says more than monotonicity.
    """
    step, weight = positive("step", step), positive("weight", weight)
    inside = abs(1 - step * (1 - denoiser.identity)) + step * denoiser.lipschitz
    return inside / (1 + step * spectrum.lowest / weight)


def mol_monotone(
    modulus: float, lipschitz: float, spectrum: Spectrum, step: float, weight: float = 1.0
) -> float:
    """Lip(f) <= sqrt(1 - 2 alpha m + alpha^2 l^2) / (1 + alpha mu / w) for MOL, where F = I - H is
    m-monotone and l-Lipschitz.

    ||d - alpha F(d)||^2 = ||d||^2 - 2 alpha <F(d), d> + alpha^2 ||F(d)||^2 with <F(d), d> >= m
    ||d||^2, where d is a difference of images and F(d) that of their values.
    modulus: m > 0. lipschitz: l >= m, 2 - m where Lip(H) <= 1 - m. Below 1 for alpha < 2 m / l^2
        (`mol_monotone_steps`).
    Source: A. Pramanik, M. B. Zimmerman and M. Jacob, Memory-efficient model-based deep learning
    with convergence and robustness guarantees, IEEE TCI 9 (2023), with l = 2 - m and the weight
    lambda = 1 / w on the data.
    """
    step, weight = positive("step", step), positive("weight", weight)
    _check_monotone(modulus, lipschitz)
    return math.sqrt(1 - 2 * step * modulus + (step * lipschitz) ** 2) / (
        1 + step * spectrum.lowest / weight
    )


def de_prox_steps(denoiser: DenoiserBound, spectrum: Spectrum) -> tuple[float, float] | None:
    """The open interval of steps for which `de_prox` is below 1: ((1 - 1/K) / mu, (1 + 1/K) / L)
    with K = Lip(R).

    It begins at 0 for K <= 1. None where there is no such step, and that is so for every
    undersampled A (mu = 0) once K >= 1.
    """
    total = denoiser.total
    if total < 1:
        low = 0.0
    elif spectrum.lowest > 0:
        low = (1 - 1 / total) / spectrum.lowest
    else:
        return None
    return _interval(low, _ratio(1 + _ratio(1, total), spectrum.largest))


def de_grad_steps(
    denoiser: DenoiserBound, spectrum: Spectrum, weight: float = 1.0
) -> tuple[float, float] | None:
    """The open interval of steps for which `de_grad` is below 1: (0, 2 / (L + w (1 - a + q))).

    None where mu + w (1 - a) <= w q: no step contracts.
    """
    weight = positive("weight", weight)
    shrink, noise = weight * (1 - denoiser.identity), weight * denoiser.lipschitz
    return (
        (0.0, 2 / (spectrum.largest + shrink + noise)) if spectrum.lowest + shrink > noise else None
    )


def de_ridge_steps(
    curvature: Curvature, spectrum: Spectrum, weight: float = 1.0
) -> tuple[float, float] | None:
    """The open interval of steps for which `de_ridge` is below 1: (0, 2 / (L + w M)) where mu + w m
    > 0, the energy's strong convexity; else None.

    Without that the same steps still descend.
    """
    lowest, largest = _hessian(curvature, spectrum, positive("weight", weight))
    return (0.0, 2 / largest) if lowest > 0 else None


def mol_steps(
    denoiser: DenoiserBound, spectrum: Spectrum, weight: float = 1.0
) -> tuple[float, float] | None:
    """The open interval of steps for which `mol` is below 1: (0, 2 / (1 - a + q - mu / w)), where 1
    - a + mu / w > q; else None.

    For a = 0 and mu = 0: (0, 2 / (1 + q)) for q < 1.
    """
    weight = positive("weight", weight)
    shrink, data = 1 - denoiser.identity, spectrum.lowest / weight
    if not shrink + data > denoiser.lipschitz:
        return None
    return 0.0, _ratio(2, max(0.0, shrink + denoiser.lipschitz - data))


def mol_monotone_steps(modulus: float, lipschitz: float) -> tuple[float, float]:
    """The open interval (0, 2 m / l^2) of steps with `mol_monotone` below 1 whatever A; l = 2 - m
    gives 2 m / (2 - m)^2.
    """
    _check_monotone(modulus, lipschitz)
    return 0.0, 2 * modulus / lipschitz**2


def _check_monotone(modulus: float, lipschitz: float) -> None:
    if not 0 < modulus <= lipschitz < math.inf:
        raise InputError(
            f"modulus: {modulus} with lipschitz {lipschitz} given, 0 < modulus <= lipschitz < inf"
            " needed"
        )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf


def _interval(low: float, high: float) -> tuple[float, float] | None:
    return (low, high) if low < high else None
