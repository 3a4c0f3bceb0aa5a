"""RIM: the gradient that its cell sees, one cell for all steps, and its published size."""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.recon import create
from deqlab.recon.base import Budget
from deqlab.recon.unrolled.rim import RIM, ConvGRU, likelihood_gradient
from deqlab.signal.sampling.trajectories import Radial


def operators() -> dict[str, object]:
    maps = torch.randn(2, 2, 8, 9, dtype=torch.complex128)
    mask = torch.rand(2, 1, 8, 9) < 0.5
    points = Radial(4).sample((8, 9))
    return {
        "one coil": CartesianOperator(mask),
        "coils": CartesianOperator(mask, maps),
        "radial": NUFFTOperator(points, (8, 9), maps),
    }


@pytest.mark.parametrize("kind", ["one coil", "coils", "radial"])
def test_its_input_is_the_gradient_of_the_likelihood(kind: str) -> None:
    """1/2 ||A x - y||^2, differentiated by autograd."""
    A = operators()[kind]
    y = A(torch.randn(2, 8, 9, dtype=torch.complex128))
    x = torch.randn(2, 8, 9, dtype=torch.complex128, requires_grad=True)
    (A(x) - y).abs().square().sum().div(2).backward()
    found = likelihood_gradient(x.detach(), A, A.H(y))
    torch.testing.assert_close(found, x.grad, rtol=1e-6, atol=1e-8)


def test_the_cell_sees_the_image_and_that_gradient(measure, monkeypatch) -> None:
    data, seen = measure(2, 2, (8, 9)), []
    model = RIM(iterations=2, width=4).double()
    cell = model.cell.forward
    spy = lambda image, gradient, hidden: (
        seen.append((image, gradient)) or cell(image, gradient, hidden)
    )
    monkeypatch.setattr(model.cell, "forward", spy)
    model(data.kspace, data.A)
    unit = seen[0][0].abs().amax((1, 2))
    torch.testing.assert_close(unit, torch.ones_like(unit))
    scale = (seen[0][0] / data.A.H(data.kspace))[:, :1, :1]
    for image, gradient in seen:
        expected = data.A.normal(image) - scale * data.A.H(data.kspace)
        torch.testing.assert_close(gradient, expected)


def test_a_scaled_operator_starts_from_the_intensity_of_the_data() -> None:
    """Its adjoint darkens an image of which nothing is missing."""
    plain = operators()["radial"]
    model = RIM(iterations=1, width=4).double()
    for A, gain in ((plain, 1.0), (plain.scaled(0.25), 0.25)):
        y = A(torch.ones(2, 8, 9, dtype=torch.complex128))
        torch.testing.assert_close(next(model.images(y, A)), A.H(y) / gain)


def test_one_cell_serves_any_number_of_steps(measure) -> None:
    data = measure(1, 2, (8, 9))
    few, many = (RIM(iterations=steps, width=4) for steps in (2, 5))
    many.load_state_dict(few.state_dict())
    few, many = few.double(), many.double()
    longer = few.run(data.kspace, data.A, Budget(max_evaluations=5)).image
    torch.testing.assert_close(longer, many(data.kspace, data.A))


def test_it_remembers(measure) -> None:
    """A step from the same image differs with what was seen before."""
    data, model = measure(1, 2, (8, 9)), RIM(iterations=2, width=4).double()
    *_, state = [state for _, state in model._states(data.kspace, data.A, 2)]
    assert all(part.abs().max() > 0 for part in state.hidden)


def test_the_default_is_of_two_hidden_states_of_64_channels() -> None:
    """5x5x4x64, 3x3x64x64 and 3x3x64x2 weights, two cells of 3x128x64, and biases."""
    weights = 25 * 4 * 64 + 9 * 64 * 64 + 9 * 64 * 2 + 2 * 3 * 128 * 64
    biases = 64 + 64 + 2 * 3 * 64
    assert sum(p.numel() for p in create("rim").parameters()) == weights + biases


def test_a_hidden_state_stays_where_its_gate_is_shut() -> None:
    cell, seen, hidden = ConvGRU(3, 1), torch.randn(1, 3, 5, 6), torch.randn(1, 3, 5, 6)
    for open_, expected in ((-50.0, hidden), (50.0, None)):
        torch.nn.init.constant_(cell.gates.bias[:3].detach(), open_)
        found = cell(seen, hidden)
        if expected is None:
            assert found.abs().max() <= 1 and not torch.allclose(found, hidden)
        else:
            torch.testing.assert_close(found, expected)


def test_bad_options_are_named() -> None:
    with pytest.raises(InputError, match="reach: -1 given, a whole number >= 0 needed"):
        create("rim", reach=-1)
