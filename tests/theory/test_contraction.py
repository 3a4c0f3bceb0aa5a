"""No map stretches more than its bound says, some map stretches as much, and the steps that
contract are exactly those named.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.equilibrium.measure import dense_jacobian
from deqlab.networks import DnCNN, Ridge
from deqlab.operators import LinearOperator
from deqlab.recon.deq.de_admm import DouglasRachfordMap
from deqlab.recon.deq.de_grad import GradientMap
from deqlab.recon.deq.de_prox import ProximalMap
from deqlab.recon.deq.mol import MonotoneMap
from deqlab.theory import contraction
from deqlab.theory.contraction import Curvature, DenoiserBound, Spectrum

SIZE = (2, 3)
WEIGHT = 0.7
UNDERSAMPLED, FULL = Spectrum(0.0, 1.0), Spectrum(0.3, 1.4)
SPECTRA = pytest.mark.parametrize("spectrum", [UNDERSAMPLED, FULL], ids=["undersampled", "full"])
IDENTITIES = pytest.mark.parametrize("identity", [0.0, 0.5, 1.0])


class Matrix(LinearOperator):
    """A with given singular values in random unitary bases, on images of SIZE."""

    def __init__(self, spectrum: Spectrum):
        super().__init__()
        n = math.prod(SIZE)
        eigenvalues = torch.linspace(spectrum.lowest, spectrum.largest, n, dtype=torch.float64)
        U, V = (torch.linalg.qr(torch.randn(n, n, dtype=torch.complex128))[0] for _ in range(2))
        self.matrix = U @ torch.diag(eigenvalues.sqrt().to(U.dtype)) @ V.mH

    def _forward(self, image: Tensor) -> Tensor:
        return (image.flatten(1) @ self.matrix.mT)[:, None, None]

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return (kspace.flatten(1) @ self.matrix.conj()).unflatten(1, SIZE)


class Lipschitz(nn.Module):
    """R = identity I + N with Lip(N) = lipschitz everywhere: two rotations and a modulus between,
    whose slope is 1 or -1.
    """

    def __init__(self, identity: float, lipschitz: float):
        super().__init__()
        n = 2 * math.prod(SIZE)
        self.first, self.second = (
            torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0] for _ in range(2)
        )
        self.identity, self.lipschitz = identity, lipschitz

    def forward(self, image: Tensor) -> Tensor:
        real = torch.view_as_real(image.resolve_conj()).flatten(1)
        turned = ((real @ self.first.mT).abs() @ self.second.mT).reshape(len(image), *SIZE, 2)
        return self.identity * image + self.lipschitz * torch.view_as_complex(turned)


def map_and_bound(name: str, R: nn.Module, known: DenoiserBound, spectrum: Spectrum, step: float):
    """The map `name` with denoiser R, for random measurements, and its bound."""
    A = Matrix(spectrum)
    arguments = (
        A.H(torch.randn(1, 1, 1, math.prod(SIZE), dtype=torch.complex128)),
        A,
        R,
        torch.tensor(step, dtype=torch.float64),
    )
    if name == "de_prox":
        return ProximalMap(*arguments), contraction.de_prox(known, spectrum, step)
    if name == "de_grad":
        return GradientMap(*arguments, WEIGHT), contraction.de_grad(known, spectrum, step, WEIGHT)
    if name == "de_admm":
        return DouglasRachfordMap(*arguments), contraction.de_admm(known, spectrum, step)
    return MonotoneMap(*arguments, WEIGHT), contraction.mol(known, spectrum, step, WEIGHT)


MAPS = pytest.mark.parametrize("name", ["de_prox", "de_grad", "de_admm", "mol"])


def measured_norm(f) -> float:
    """The largest ||J||_2 at four random points, from dense Jacobians."""
    J = dense_jacobian(f, torch.randn(4, *SIZE, dtype=torch.complex128))
    return float(torch.linalg.matrix_norm(J, ord=2).max())


@MAPS
@SPECTRA
@IDENTITIES
@pytest.mark.parametrize("step", [0.2, 0.9, 1.7])
def test_no_jacobian_exceeds_its_bound(
    name: str, spectrum: Spectrum, identity: float, step: float
) -> None:
    """Random problems; and the bound is not idle: some of them come within a third of it."""
    ratios = []
    for lipschitz in (0.1, 0.4, 1.5):
        known = DenoiserBound(identity, lipschitz)
        f, bound = map_and_bound(name, Lipschitz(identity, lipschitz), known, spectrum, step)
        ratios.append(measured_norm(f) / bound)
    assert max(ratios) <= 1 + 1e-9
    assert max(ratios) >= 2 / 3


@MAPS
@SPECTRA
@IDENTITIES
@pytest.mark.parametrize("step", [0.2, 0.9, 1.7])
def test_some_denoiser_reaches_the_bound(
    gain, name: str, spectrum: Spectrum, identity: float, step: float
) -> None:
    """N = q I or N = -q I, so nothing smaller than the bound is true of all denoisers."""
    if name == "de_admm":
        step = min(step, 0.8 / spectrum.largest)
        identity = max(
            identity, 0.5
        )  # for a = 0 the two maxima are at opposite ends of the spectrum: the bound is not reached
    known = DenoiserBound(identity, 0.3)
    reached = []
    for sign in (1, -1):
        f, bound = map_and_bound(name, gain(identity + sign * 0.3), known, spectrum, step)
        reached.append(measured_norm(f))
    assert max(reached) == pytest.approx(bound, rel=1e-9)


@MAPS
def test_no_step_makes_a_residual_denoiser_contract_where_nothing_is_measured(
    gain, name: str
) -> None:
    """R = I + N, lambda = 0: the bound is above 1 for every step, and so is a Jacobian."""
    known = DenoiserBound(1.0, 0.05)
    for step in (1e-3, 0.1, 0.5, 1.0, 1.9, 50.0):
        f, bound = map_and_bound(name, gain(1.05), known, UNDERSAMPLED, step)
        assert bound > 1 and measured_norm(f) > 1
        _, without = map_and_bound(name, gain(1.0), DenoiserBound(1.0, 0.0), UNDERSAMPLED, step)
        assert without >= 1 - 1e-12


STEPS = {
    "de_prox": (contraction.de_prox, contraction.de_prox_steps),
    "de_grad": (
        lambda known, spectrum, step: contraction.de_grad(known, spectrum, step, WEIGHT),
        lambda known, spectrum: contraction.de_grad_steps(known, spectrum, WEIGHT),
    ),
    "mol": (
        lambda known, spectrum, step: contraction.mol(known, spectrum, step, WEIGHT),
        lambda known, spectrum: contraction.mol_steps(known, spectrum, WEIGHT),
    ),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    "spectrum", [UNDERSAMPLED, FULL, Spectrum(0.9, 1.0), Spectrum(0, 0)], ids=str
)
@IDENTITIES
@pytest.mark.parametrize("lipschitz", [0.02, 0.4, 1.2])
def test_the_steps_are_those_with_a_bound_below_one(
    name: str, spectrum: Spectrum, identity: float, lipschitz: float
) -> None:
    known = DenoiserBound(identity, lipschitz)
    bound, steps = STEPS[name]
    interval = steps(known, spectrum)
    grid = [1e-3 * 1.05**k for k in range(220)]
    contracting = [step for step in grid if bound(known, spectrum, step) < 1 - 1e-12]
    if interval is None:
        assert contracting == []
        return
    low, high = interval
    assert contracting == [step for step in grid if low < step < high]
    for end in interval:
        if 0 < end < math.inf:
            assert bound(known, spectrum, end) == pytest.approx(1, rel=1e-12)


class Quadratic(nn.Module):
    """R = I - H with a Hermitian H whose eigenvalues lie in [lowest, largest] and reach both."""

    def __init__(self, curvature: Curvature):
        super().__init__()
        n = math.prod(SIZE)
        values = torch.linspace(curvature.lowest, curvature.largest, n, dtype=torch.complex128)
        Q = torch.linalg.qr(torch.randn(n, n, dtype=torch.complex128))[0]
        self.matrix = Q @ torch.diag(values) @ Q.mH

    def forward(self, image: Tensor) -> Tensor:
        return image - (image.flatten(1) @ self.matrix.mT).unflatten(1, SIZE)


CURVATURES = pytest.mark.parametrize(
    "curvature", [Curvature(-0.5), Curvature(0.0), Curvature(0.2)], ids=str
)


@CURVATURES
@SPECTRA
@pytest.mark.parametrize("step", [0.2, 0.9, 1.7])
def test_no_step_on_an_energy_exceeds_its_bound(
    gain, curvature: Curvature, spectrum: Spectrum, step: float
) -> None:
    """And a multiple of the identity reaches it, where that of a Lipschitz constant is larger."""
    bound = contraction.de_ridge(curvature, spectrum, step, WEIGHT)
    found = []
    for R in (Quadratic(curvature), gain(1 - curvature.lowest), gain(1 - curvature.largest)):
        A = Matrix(spectrum)
        y = A.H(torch.randn(1, 1, 1, math.prod(SIZE), dtype=torch.complex128))
        f = GradientMap(y, A, R, torch.tensor(step, dtype=torch.float64), WEIGHT)
        found.append(measured_norm(f))
    assert found[0] <= bound * (1 + 1e-9)
    assert max(found) == pytest.approx(bound, rel=1e-9)
    lipschitz = max(abs(curvature.lowest), curvature.largest)
    assert bound <= contraction.de_grad(DenoiserBound(1, lipschitz), spectrum, step, WEIGHT)


@CURVATURES
@pytest.mark.parametrize("spectrum", [UNDERSAMPLED, FULL], ids=str)
def test_the_steps_that_contract_on_an_energy(curvature: Curvature, spectrum: Spectrum) -> None:
    """Those below 2 over the largest curvature where the energy is strongly convex: for an
    undersampled A where the regulariser is, which no bound on Lip(I - R) allows.
    """
    interval = contraction.de_ridge_steps(curvature, spectrum, WEIGHT)
    grid = [1e-3 * 1.05**k for k in range(220)]
    bounds = {step: contraction.de_ridge(curvature, spectrum, step, WEIGHT) for step in grid}
    contracting = [step for step in grid if bounds[step] < 1 - 1e-12]
    assert (interval is None) == (spectrum.lowest + WEIGHT * curvature.lowest <= 0)
    if interval is None:
        assert contracting == []
        return
    assert contracting == [step for step in grid if step < interval[1]]
    assert interval[0] == 0 and bounds[contracting[0]] < 1


def test_what_a_ridge_promises() -> None:
    chosen = {"filters": (2,), "weak_convexity": 0.6}
    assert Curvature.of(Ridge(**chosen)) == Curvature(-0.6, 1.0)
    assert Curvature.of(Ridge(**chosen, floor=0.5)) == Curvature(0.2, 1.0)
    assert DenoiserBound.of(Ridge(**chosen)) == DenoiserBound(1.0, 1.0)
    with pytest.raises(InputError, match="curvature: the denoiser has no energy"):
        Curvature.of(DnCNN(2, 2, lipschitz=0.5))


def test_the_formulas_of_the_papers_are_special_cases() -> None:
    """Gilton, Ongie and Willett for DE-Prox and DE-Grad; ADMM, undersampled, with each kind of
    denoiser.
    """
    spectrum, eps, eta = Spectrum(0.3, 1.4), 0.2, 0.35
    assert contraction.de_prox(DenoiserBound(1, eps), spectrum, eta) == pytest.approx(
        (1 + eps) * (1 - eta * 0.3)
    )
    assert contraction.de_grad(DenoiserBound(0, eps), spectrum, eta) == pytest.approx(
        1 - eta * (1 + 0.3) + eta * eps
    )
    assert contraction.de_grad(DenoiserBound(0, eps), Spectrum(), eta) == pytest.approx(
        1 - eta + eta * eps
    )
    assert contraction.de_admm(DenoiserBound(0, eps), Spectrum(), 2.0) == pytest.approx(2 / 3 + eps)
    assert contraction.de_admm(DenoiserBound(1, eps), Spectrum(), 2.0) == pytest.approx(1 + eps)
    assert contraction.de_admm(DenoiserBound(0.5, 0.4), Spectrum(), 2.0) == pytest.approx(0.9)
    # A small enough step makes ADMM contract with any Lip(R) < 1.
    assert contraction.de_admm(DenoiserBound(0, 0.9), Spectrum(), 0.99 * 0.1 / 0.9) < 1
    assert contraction.de_admm(DenoiserBound(0, 0.9), Spectrum(), 1.01 * 0.1 / 0.9) > 1


@pytest.mark.parametrize("modulus, lipschitz", [(0.1, 1.9), (0.5, 0.6), (0.4, 0.4)])
@SPECTRA
@pytest.mark.parametrize("step", [0.05, 0.5])
def test_the_bound_of_monotone_operator_learning(
    gain, modulus: float, lipschitz: float, spectrum: Spectrum, step: float
) -> None:
    """F = m I + sqrt(l^2 - m^2) K with a skew isometry K is m-monotone and l-Lipschitz, and reaches
    the bound.
    """
    turn = 1j * math.sqrt(lipschitz**2 - modulus**2)
    A = Matrix(spectrum)
    projection = A.H(torch.randn(1, 1, 1, math.prod(SIZE), dtype=torch.complex128))
    f = MonotoneMap(
        projection, A, gain(1 - modulus - turn), torch.tensor(step, dtype=torch.float64), WEIGHT
    )
    bound = contraction.mol_monotone(modulus, lipschitz, spectrum, step, WEIGHT)
    assert measured_norm(f) == pytest.approx(bound, rel=1e-7)
    low, high = contraction.mol_monotone_steps(modulus, lipschitz)
    assert low == 0 and contraction.mol_monotone(
        modulus, lipschitz, Spectrum(), high
    ) == pytest.approx(1)
    assert contraction.mol_monotone(modulus, lipschitz, Spectrum(), 0.99 * high) < 1
    assert contraction.mol_monotone(modulus, lipschitz, Spectrum(), 1.01 * high) > 1


@pytest.mark.parametrize("lipschitz", [0.1, 0.5, 0.9, 0.99])
def test_a_bound_on_the_denoiser_is_worth_more_than_monotonicity(lipschitz: float) -> None:
    """Both are true of H with Lip(H) <= 1 - m; the first is never larger, and it allows more
    steps.
    """
    m, known = 1 - lipschitz, DenoiserBound(0, lipschitz)
    for step in (0.01, 0.1, 0.5, 1.0, 1.5):
        for spectrum in (UNDERSAMPLED, FULL):
            assert contraction.mol(known, spectrum, step) <= contraction.mol_monotone(
                m, 2 - m, spectrum, step
            ) * (1 + 1e-12)
    assert (
        contraction.mol_steps(known, UNDERSAMPLED)[1] > contraction.mol_monotone_steps(m, 2 - m)[1]
    )
    assert contraction.mol_monotone_steps(m, 2 - m)[1] == pytest.approx(2 * m / (2 - m) ** 2)


def test_what_a_network_promises() -> None:
    assert DenoiserBound.of(DnCNN(2, 2, lipschitz=0.7)) == DenoiserBound(1.0, 0.7)
    assert DenoiserBound.of(DnCNN(2, 2, lipschitz=0.7, residual=False)) == DenoiserBound(0.0, 0.7)
    assert DenoiserBound(-0.5, 0.7).total == pytest.approx(1.2)
    for silent in (DnCNN(2, 2), nn.Identity()):
        with pytest.raises(InputError, match="lipschitz.*no Lipschitz bound"):
            DenoiserBound.of(silent)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_what_cannot_be_is_named(wrong: float) -> None:
    known, spectrum = DenoiserBound(0, 0.5), Spectrum()
    for bound in (contraction.de_prox, contraction.de_grad, contraction.de_admm, contraction.mol):
        with pytest.raises(InputError, match="step"):
            bound(known, spectrum, wrong)
    for bound in (contraction.de_grad, contraction.mol):
        with pytest.raises(InputError, match="weight"):
            bound(known, spectrum, 0.5, wrong)
    with pytest.raises(InputError, match="step"):
        contraction.de_ridge(Curvature(0.0), spectrum, wrong)
    with pytest.raises(InputError, match="weight"):
        contraction.de_ridge(Curvature(0.0), spectrum, 0.5, wrong)
    for call in (
        lambda: contraction.de_ridge_steps(Curvature(0.0), spectrum, wrong),
        lambda: Curvature(-math.inf, 1.0),
        lambda: Curvature(1.0, math.nan),
        lambda: Curvature(1.0, 0.5),
        lambda: contraction.de_grad_steps(known, spectrum, wrong),
        lambda: contraction.mol_steps(known, spectrum, wrong),
        lambda: contraction.mol_monotone(0.1, 1.9, spectrum, 0.1, wrong),
        lambda: contraction.mol_monotone(wrong, 1.9, spectrum, 0.1),
        lambda: contraction.mol_monotone_steps(wrong, 1.9),
        lambda: contraction.mol_monotone_steps(0.2, 0.1),
        lambda: Spectrum(0.5, wrong),
        lambda: Spectrum(2.0, 1.0),
        lambda: DenoiserBound(1.0, -0.1),
        lambda: DenoiserBound(math.inf, 0.1),
    ):
        with pytest.raises(InputError):
            call()
