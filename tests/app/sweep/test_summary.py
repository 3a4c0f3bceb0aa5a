"""The table of a sweep, against its own numbers by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deqlab.app.sweep.summary import Question, answer, text
from deqlab.core.errors import InputError

AXES = ["loss", "rate", "seed"]


def row(loss: str, rate: str, seed: str, unit: str, metric: str, value: float) -> dict:
    values = {"loss": loss, "rate": rate, "seed": seed}
    return values | {"unit": unit, "metric": metric, "value": value, "method": "trained"}


def value_of(loss: str, rate: str, seed: str, unit: str) -> float:
    return 30 + (loss == "l2") + (rate == "hi") * (2 if loss == "l1" else -2) + int(seed) / 10


@pytest.fixture
def rows() -> list[dict]:
    grid = itertools.product(["l1", "l2"], ["lo", "hi"], ["0", "1", "2"], ["a", "b"])
    found = []
    for cell in grid:
        found.append(row(*cell, "psnr", value_of(*cell)))
        found.append(row(*cell, "val.psnr", value_of(*cell)))
    return found


def test_means_and_spreads_over_what_is_not_asked(rows) -> None:
    groups = answer(Question(by=("loss", "rate")), AXES, rows)
    assert [group.values for group in groups] == [
        {"loss": loss, "rate": rate} for loss in ("l1", "l2") for rate in ("lo", "hi")
    ]
    np.testing.assert_allclose([group.mean for group in groups], [30.1, 32.1, 31.1, 29.1])
    np.testing.assert_allclose([group.spread for group in groups], 0.1)
    assert [(group.cells, group.units) for group in groups] == [(3, 2)] * 4


def test_each_group_is_tuned_alone_on_validation_heads(rows) -> None:
    l1, l2 = answer(Question(by=("loss",), tuned=("rate",)), AXES, rows)
    assert (l1.chosen, l2.chosen) == ({"rate": "hi"}, {"rate": "lo"})
    np.testing.assert_allclose([l1.mean, l2.mean], [32.1, 31.1])


def test_tuning_looks_at_no_test_head(rows) -> None:
    for one in rows:
        if one["metric"] == "psnr":
            one["value"] = -one["value"]
    l1, _ = answer(Question(by=("loss",), tuned=("rate",)), AXES, rows)
    assert l1.chosen == {"rate": "hi"}
    np.testing.assert_allclose(l1.mean, -32.1)


def test_the_rival_is_met_seed_by_seed(rows) -> None:
    question = Question(by=("loss",), tuned=("rate",), against={"loss": "l2"})
    l1, l2 = answer(question, AXES, rows)
    assert l2.over_rival is None
    np.testing.assert_allclose(l1.over_rival.mean, 1.0)
    # the seeds' own spread falls out of the difference
    np.testing.assert_allclose([l1.over_rival.low, l1.over_rival.high], 1.0)
    assert "+1" in text(question, [l1, l2])


def test_metrics_where_less_is_better_are_tuned_to_less(rows) -> None:
    losses = [one | {"metric": one["metric"].replace("psnr", "nmse")} for one in rows]
    l1, l2 = answer(Question("nmse", by=("loss",), tuned=("rate",)), AXES, losses)
    assert (l1.chosen, l2.chosen) == ({"rate": "lo"}, {"rate": "hi"})


def test_a_bias_is_tuned_towards_nothing(rows) -> None:
    """l1 lies at 30 and 32, l2 at 31 and 29: of numbers about zero the nearest is best."""
    biases = [
        one
        | {"metric": one["metric"].replace("psnr", "magnitude-bias"), "value": one["value"] - 30.6}
        for one in rows
    ]
    l1, l2 = answer(Question("magnitude-bias", by=("loss",), tuned=("rate",)), AXES, biases)
    assert (l1.chosen, l2.chosen) == ({"rate": "lo"}, {"rate": "lo"})
    np.testing.assert_allclose([l1.mean, l2.mean], [-0.5, 0.5])


def test_one_metric_may_choose_for_another(rows) -> None:
    errors = [one | {"metric": one["metric"].replace("psnr", "nmse")} for one in rows]
    question = Question("nmse", by=("loss",), tuned=("rate",), tuned_by="psnr")
    l1, l2 = answer(question, AXES, rows + errors)
    assert (l1.chosen, l2.chosen) == ({"rate": "hi"}, {"rate": "lo"})


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (Question(by=("los",)), "axis 'los' is none of the sweep's.*loss"),
        (Question("pnsr", by=("loss",)), "metric 'pnsr': not among the results.*psnr"),
        (Question(by=("loss",), against={"loss": "l3"}), "the rival loss=l3: no cell"),
        (Question("ssim", by=("loss",)), "metric 'ssim'"),
    ],
)
def test_what_the_results_do_not_hold_is_refused(rows, question: Question, told: str) -> None:
    with pytest.raises(InputError, match=told):
        answer(question, AXES, rows)
