"""The loss about trained weights: by hand for a network whose loss is known, and nothing is left
behind.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deqlab.core.errors import InputError
from deqlab.evaluation.landscape import filter_normalised, landscape, moved


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 1, 3))


def test_directions_are_as_long_as_filters() -> None:
    model = network()
    way = filter_normalised(model, 0)
    assert set(way) == {"0.weight", "2.weight"}  # no biases
    for name, values in way.items():
        weight = model.get_parameter(name).detach()
        torch.testing.assert_close(values.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
    again, other = filter_normalised(model, 0), filter_normalised(model, 1)
    assert all(torch.equal(way[name], again[name]) for name in way)
    assert not torch.equal(way["0.weight"], other["0.weight"])


def test_the_loss_is_that_of_the_moved_weights() -> None:
    model = nn.Linear(3, 2, bias=False)
    loss = lambda: model.weight.square().sum()
    found = landscape(model, loss, reach=0.4, steps=5, seed=3)
    a, b = filter_normalised(model, 6)["weight"], filter_normalised(model, 7)["weight"]
    for at in ((0, 0), (2, 2), (1, 4)):
        weight = model.weight.detach() + found.first[at] * a + found.second[at] * b
        assert found.loss[at] == pytest.approx(float(weight.square().sum()), rel=1e-5)
    np.testing.assert_allclose(found.first[:, 0], [-0.4, -0.2, 0, 0.2, 0.4])
    assert found.loss[2, 2] == pytest.approx(float(loss().detach()))


def test_the_weights_come_back_to_the_bit() -> None:
    model = network()
    before = [weight.detach().clone() for weight in model.parameters()]

    def broken() -> float:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        landscape(model, broken, steps=2)
    with moved(model, (0.3, filter_normalised(model, 0))):
        assert not torch.equal(before[0], model[0].weight)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_what_is_no_landscape_is_refused() -> None:
    with pytest.raises(InputError, match="1 steps"):
        landscape(network(), lambda: 0.0, steps=1)
    with pytest.raises(InputError, match="reach 0"):
        landscape(network(), lambda: 0.0, reach=0)
    with pytest.raises(InputError, match="no weights with filters"):
        landscape(nn.ReLU(), lambda: 0.0)
