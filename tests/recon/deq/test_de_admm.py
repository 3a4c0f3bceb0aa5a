"""DE-ADMM solves its formulas, shares its equilibria with DE-Prox, and is Douglas-Rachford
splitting in one image.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.equilibrium import ImplicitGradient
from deqlab.equilibrium.measure import dense_jacobian, spectral_norm
from deqlab.operators import CartesianOperator
from deqlab.recon import load
from deqlab.recon.deq.de_admm import DEADMM
from deqlab.recon.deq.de_prox import DEProx
from deqlab.solvers import Anderson, Picard
from deqlab.solvers.flat import flatten, unflatten
from deqlab.theory import contraction
from deqlab.theory.contraction import DenoiserBound, Spectrum

EXACT = {"tolerance": 1e-12, "max_evaluations": 2000}
STEP = 0.2  # contracts for Lip(R) <= 0.8: below (1 - 0.8) / 0.8
COILS = pytest.mark.parametrize("coils", [1, 2])


def build(denoiser: nn.Module, step: float = STEP, **options) -> DEADMM:
    return DEADMM(denoiser, step=step, **(EXACT | options)).double()


def denoised(model: nn.Module, x: Tensor, data) -> Tensor:
    """R(x) at the phase of the zero-filled image."""
    phase = data.A.H(data.kspace).sum((-2, -1)).sgn()[:, None, None]
    return phase * model.denoiser(x / phase)


def pair(batch: int = 3) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(batch, 6, 7, dtype=torch.complex128) for _ in range(2))


@COILS
@torch.no_grad()
def test_one_step_is_that_of_the_paper(measure, denoiser, coils: int) -> None:
    """x minimises 1/2 ||A x - y||^2 + rho/2 ||x - z + u||^2, then z = R(x + u), then u grows by x -
    z.
    """
    data, model = measure(3, coils), build(denoiser(), step=0.7)
    rho = 1 / model.step
    z, u = pair()
    new_z, new_u = model.fixed_point_map(data.kspace, data.A)((z, u))
    x = new_u - u + new_z
    gradient = data.A.H(data.A(x) - data.kspace) + rho * (x - z + u)
    assert float(gradient.abs().max()) < 1e-9
    assert_close(new_z, denoised(model, x + u, data))


@COILS
@pytest.mark.parametrize("solver", [Anderson(), Picard()], ids=repr)
@torch.no_grad()
def test_the_image_is_the_equilibrium_of_de_prox(measure, denoiser, coils: int, solver) -> None:
    """z = R(z + s A^H (y - A z)): another road to the same place."""
    data, R = measure(3, coils), denoiser()
    solution = build(R, solver=solver).solve(data.kspace, data.A)
    assert solution.converged.all()
    prox = DEProx(R, step=STEP, **EXACT).double()
    assert_close(
        prox.fixed_point_map(data.kspace, data.A)(solution.value),
        solution.value,
        rtol=1e-9,
        atol=1e-9,
    )
    assert_close(prox.solve(data.kspace, data.A).value, solution.value, rtol=1e-8, atol=1e-8)


@COILS
@torch.no_grad()
def test_an_image_and_its_state(measure, denoiser, coils: int) -> None:
    """The dual variable that belongs to an image makes the data step return it, in either form."""
    data, model = measure(3, coils), build(denoiser())
    f = model.fixed_point_map(data.kspace, data.A)
    image = torch.randn(3, 6, 7, dtype=torch.complex128)
    z, u = f.state(image)
    assert torch.equal(f.image((z, u)), image)
    new_z, new_u = f((z, u))
    assert_close(new_u - u + new_z, image)  # x
    assert_close(f.as_one_image().state(image), z + u)
    solved = model.solve(data.kspace, data.A).value
    for form in (f, f.as_one_image()):
        state = form.state(solved)
        assert_close(flatten(form(state)), flatten(state), rtol=1e-8, atol=1e-8)
        assert_close(form.image(state), solved, rtol=1e-8, atol=1e-8)


@COILS
def test_the_pair_and_the_one_image_are_the_same_iteration(measure, denoiser, coils: int) -> None:
    """After one step w = z + u holds the pair; the Jacobians have the same eigenvalues but for as
    many zeros as w is shorter.
    """
    data, model = measure(1, coils, (2, 3)), build(denoiser(), step=0.7)
    f = model.fixed_point_map(data.kspace, data.A)
    T = f.as_one_image()
    w = torch.randn(1, 2, 3, dtype=torch.complex128)
    with torch.no_grad():
        for _ in range(3):
            z = denoised(model, w, data)
            new_w = T(w)
            new_z = denoised(model, new_w, data)
            assert_close(flatten(f((z, w - z))), flatten((new_z, new_w - new_z)))
            w = new_w
    fixed = model.solve(data.kspace, data.A).value
    with torch.no_grad():
        state, one = tuple(part.detach() for part in f.state(fixed)), T.state(fixed).detach()
    J = dense_jacobian(lambda flat: flatten(f(unflatten(flat, state))), flatten(state))[0]
    eigenvalues = [torch.linalg.eigvals(matrix) for matrix in (J, dense_jacobian(T, one)[0])]
    assert (len(eigenvalues[0]), len(eigenvalues[1])) == (24, 12)
    # The zeros of a matrix that is not normal are found to the root of the precision only, so
    # traces of powers are compared.
    for power in range(1, 6):
        traces = [(values**power).sum() for values in eigenvalues]
        assert_close(traces[0], traces[1], rtol=1e-7, atol=1e-9)


@COILS
@torch.no_grad()
def test_a_small_step_contracts_wherever_the_denoiser_does(measure, denoiser, coils: int) -> None:
    """Undersampled, and with nothing measured: between any two images, and at a point."""
    R = denoiser(0.8)
    bound = contraction.de_admm(DenoiserBound.of(R), Spectrum(), STEP)
    assert bound < 1
    data, model = measure(2, coils), build(R)
    nothing = CartesianOperator(torch.zeros(7, dtype=torch.bool))
    for kspace, A in (
        (data.kspace, data.A),
        (torch.zeros(2, 1, 6, 7, dtype=torch.complex128), nothing),
    ):
        T = model.fixed_point_map(kspace, A).as_one_image()
        w, v = pair(2)
        assert bool(
            ((T(w) - T(v)).flatten(1).norm(dim=1) <= bound * (w - v).flatten(1).norm(dim=1)).all()
        )
        assert bool((spectral_norm(T, w, iterations=30) <= bound * (1 + 1e-6)).all())


def test_a_large_step_does_not(gain, measure) -> None:
    """R = -0.8 I contracts, DE-Prox contracts with it, and DE-ADMM with a large step runs away: a
    named reason, not garbage.
    """
    data = measure(2, coils=1)
    known = DenoiserBound(0, 0.8)
    assert (
        contraction.de_prox(known, Spectrum(), 1.0)
        < 1
        < contraction.de_admm(known, Spectrum(), 10.0)
    )
    model = build(gain(-0.8), step=10.0, solver=Picard(), tolerance=1e-6, max_evaluations=200)
    start = torch.randn(2, 6, 7, dtype=torch.complex128)
    solution = model.solve(data.kspace, data.A, x0=start)
    assert solution.reason == ["diverged"] * 2 and solution.value.shape == start.shape


def test_the_learned_numbers_have_the_right_gradient(measure, denoiser) -> None:
    """Through the pair and through conjugate gradients, against differences of solved losses; and
    it is that of DE-Prox.
    """
    data = measure(2)
    gradient = ImplicitGradient(tolerance=1e-12, max_evaluations=500)
    model = build(denoiser(), gradient=gradient)
    prox = DEProx(model.denoiser, step=STEP, gradient=gradient, **EXACT).double()
    target = torch.randn(2, 6, 7, dtype=torch.complex128)

    def loss(method: nn.Module) -> Tensor:
        return (method(data.kspace, data.A) - target).abs().square().sum()

    first = model.denoiser.convolutions()[0].weight
    loss(model).backward()
    found = [float(model.log_step.grad), first.grad.clone()]
    for parameter, slope in zip((model.log_step, first), found):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-5)
                values.append(loss(model).item())
                parameter.sub_(sign * 1e-5)
        difference = (values[0] - values[1]) / 2e-5
        assert abs(difference) > 1e-3
        assert float(slope if isinstance(slope, float) else slope.sum()) == pytest.approx(
            difference, rel=1e-5
        )
    model.zero_grad()
    loss(prox).backward()
    assert float(prox.log_step.grad) == pytest.approx(found[0], rel=1e-6)
    assert_close(first.grad, found[1], rtol=1e-6, atol=1e-8)


@torch.no_grad()
def test_a_solve_starts_from_an_image_a_pair_or_a_solution(measure, denoiser) -> None:
    data, model = measure(), build(denoiser())
    f = model.fixed_point_map(data.kspace, data.A)
    solution = model.solve(data.kspace, data.A)
    for start in (solution.value, f.state(solution.value), solution):
        again = model.solve(data.kspace, data.A, tolerance=1e-6, x0=start)
        assert again.evaluations.tolist() == [1] * 3
        assert_close(again.value, solution.value)
    seen: list = []
    short = model.solve(
        data.kspace,
        data.A,
        max_evaluations=3,
        callback=lambda k, state, running: seen.append(state),
    )
    assert short.evaluations.tolist() == [3] * 3 and len(seen) == 3
    assert_close(seen[0][0], data.A.H(data.kspace))
    assert torch.equal(model(data.kspace, data.A), solution.value)


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch_mates(measure, denoiser) -> None:
    data, model = measure(4), build(denoiser(), tolerance=1e-6)
    together = model.solve(data.kspace, data.A)
    for index in range(4):
        alone = model.solve(data.member(index).kspace, data.member(index).A)
        assert_close(alone.value[0], together.value[index], rtol=1e-6, atol=1e-6)
        assert int(alone.evaluations) == int(together.evaluations[index])


@COILS
def test_the_map_can_be_restricted_to_some_samples(measure, denoiser, coils: int) -> None:
    data, chosen = measure(3, coils), torch.tensor([2, 0])
    f = build(denoiser()).fixed_point_map(data.kspace, data.A)
    state = pair()
    few = tuple(part[chosen] for part in state)
    assert_close(flatten(f.select(chosen)(few)), flatten(f(state))[chosen])
    assert_close(f.select(chosen).as_one_image()(few[0]), f.as_one_image()(state[0])[chosen])


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@torch.no_grad()
def test_it_scales_with_the_data(measure, denoiser, scale: float) -> None:
    data, model = measure(), build(denoiser(), tolerance=1e-3)
    assert_close(
        model(scale * data.kspace, data.A) / scale, model(data.kspace, data.A), rtol=1e-6, atol=1e-6
    )


def test_single_precision_stays_single(measure, denoiser) -> None:
    data = measure(2, dtype=torch.complex64)
    model = DEADMM(denoiser(dtype=torch.float32), step=STEP)
    image = model(data.kspace, data.A)
    assert image.dtype == torch.complex64 and image.requires_grad
    assert model.solve(data.kspace, data.A).converged.all()


@torch.no_grad()
def test_trained_weights_may_be_exchanged_with_de_prox(measure) -> None:
    """What DE-Prox learned, solved as DE-ADMM: the fixed point of one is a fixed point of the
    other.
    """
    data, prox = measure(2, size=(16, 17)), load("small-de-prox").double()
    admm = DEADMM(prox.denoiser).double()
    admm.load_state_dict(prox.state_dict())
    image = prox.solve(data.kspace, data.A, tolerance=1e-8, max_evaluations=500)
    f = admm.fixed_point_map(data.kspace, data.A)
    state = f.state(image.value)
    change = (flatten(f(state)) - flatten(state)).norm(dim=1) / flatten(state).norm(dim=1)
    assert bool((change < 1e-7)[image.converged].all()) and bool(image.converged.any())
