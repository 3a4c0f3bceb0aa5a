"""What unrolled networks share: steps by number, their images, and what a budget asks of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import NUFFTOperator
from deqlab.recon import create
from deqlab.recon.base import Budget


def network():
    torch.manual_seed(3)
    model = create("pdnet", iterations=2, width=4)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def test_images_are_those_after_each_step(measure) -> None:
    data, model = measure(2, 2, (6, 7)), network()
    found = list(model.images(data.kspace, data.A))
    assert len(found) == model.depth + 1
    torch.testing.assert_close(found[0], data.A.H(data.kspace))
    torch.testing.assert_close(found[-1], model(data.kspace, data.A))


def test_a_budget_asks_for_a_number_of_steps(measure) -> None:
    """Fewer end sooner; past the trained ones the last repeats."""
    data, model = measure(1, 2, (6, 7)), network()
    longer = list(model.images(data.kspace, data.A, 4))
    for steps in (1, 4):
        image = model.run(data.kspace, data.A, Budget(max_evaluations=steps)).image
        torch.testing.assert_close(image, longer[steps])
    # The same network with its last step written out twice more.
    for steps in (model.dual, model.primal):
        steps.extend([steps[-1], steps[-1]])
    model.options = replace(model.options, iterations=4)
    torch.testing.assert_close(model(data.kspace, data.A), longer[4])


def test_a_tolerance_and_another_operator_are_refused(measure) -> None:
    data, model = measure(1, 2, (6, 7)), network()
    with pytest.raises(InputError, match=r"PDNet: takes a fixed number of steps, so tolerance"):
        model.run(data.kspace, data.A, Budget(tolerance=1e-3))
    off = NUFFTOperator(torch.rand(20, 2, dtype=torch.float64) - 0.5, (8, 8))
    with pytest.raises(InputError, match="PDNet: takes samples of a Cartesian grid"):
        next(model.images(torch.randn(1, 1, 20, dtype=torch.complex64), off))
