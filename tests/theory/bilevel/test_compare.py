"""Descent, search and comparison on problems of a few unknowns."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from deqlab.app import results
from deqlab.core.errors import InputError
from deqlab.theory.bilevel import (
    SHINE,
    AwareSHINE,
    Comparison,
    FullInversion,
    GridSearch,
    JacobianFree,
    Outer,
    RandomSearch,
    Smoothing,
    Trace,
    compare,
    descend,
    optimum,
    run,
)

GRADIENTS = (SHINE(), AwareSHINE(), FullInversion(), JacobianFree())
ALL = (*GRADIENTS, GridSearch(), RandomSearch())


@pytest.fixture
def problem(logistic):
    return logistic(features=8, samples=30)


@pytest.mark.parametrize("method", GRADIENTS, ids=lambda method: method.name)
def test_descent_ends_at_the_best_weight(method, problem) -> None:
    theta, loss = optimum(problem)
    assert problem.low + 1 < theta < problem.high - 1
    trace = descend(problem, method)
    assert trace.validation[-1] == pytest.approx(loss, rel=2e-3)
    assert trace.theta[-1][0] == pytest.approx(theta, abs=0.3)


def test_search_finds_it_to_the_spacing_of_its_trials(problem) -> None:
    theta, loss = optimum(problem)
    trace = run(problem, GridSearch(trials=23))
    assert trace.theta[-1][0] == pytest.approx(theta, abs=0.5) and trace.validation[
        -1
    ] == pytest.approx(loss, rel=2e-2)
    assert trace.validation == sorted(trace.validation, reverse=True)


def test_learned_smoothing_lands_at_the_optimum_of_the_grid(slice_of_noise) -> None:
    """With the full inversion; with the inverse of L-BFGS to a quarter of a percent; the
    Jacobian-free direction is biased and stops before.
    """
    problem = Smoothing(slice_of_noise(0, 8, noise=0.5), None, rounding=0.1)
    theta, loss = optimum(problem)
    assert problem.low + 1 < theta < problem.high - 1
    excess = {
        method.name: descend(problem, method).validation[-1] / loss - 1 for method in GRADIENTS
    }
    assert abs(excess["HOAG"]) < 3e-4
    assert max(excess["SHINE"], excess["SHINE + OPA"]) < 2.5e-3
    assert excess["Jacobian-free"] > 1e-2


def test_several_weights_do_better_than_one(logistic) -> None:
    """A weight for each half of the features: descent beats the best single weight, which it
    contains.
    """
    groups = torch.arange(8) // 4
    single, double = (
        logistic(features=8, samples=30),
        logistic(features=8, samples=30, groups=groups),
    )
    assert descend(double, FullInversion(), Outer(steps=40)).validation[-1] < optimum(single)[1]
    with pytest.raises(InputError, match="theta: 2 hyperparameters"):
        optimum(double)


def test_a_wrong_sign_does_not_pass(problem) -> None:
    class Uphill(FullInversion):
        def adjoint(self, *arguments):
            found = super().adjoint(*arguments)
            return replace(found, q=-found.q)

    assert descend(problem, Uphill()).validation[-1] > 1.1 * optimum(problem)[1]


def test_a_comparison_repeats_but_for_the_seconds(logistic) -> None:
    def make(seed: int):
        return logistic(features=4 + seed)

    first, second = (compare(make, ALL, seeds=range(2), outer=Outer(steps=4)) for _ in range(2))
    for name in first.traces:
        for a, b in zip(first.traces[name], second.traces[name], strict=True):
            assert replace(a, seconds=[]) == replace(b, seconds=[])
            assert a.seconds == sorted(a.seconds) and a.work == sorted(a.work)
            assert len({len(column) for column in vars(a).values()}) == 1
    assert first.best == second.best


def test_the_clock_stands_still_while_a_trace_is_written(logistic) -> None:
    """A clock that only the test loss moves."""
    problem, now = logistic(), itertools.count()
    ticks = [0.0]

    def test(theta, x):
        ticks[0] += next(now) + 1.0
        return 0.0

    problem.test = test
    trace = descend(problem, JacobianFree(), Outer(steps=3), clock=lambda: ticks[0])
    assert trace.seconds == [0.0] * 4


def traces(*validation: list[float]) -> list[Trace]:
    made = []
    for losses in validation:
        n = len(losses)
        counts = [10 * (i + 1) for i in range(n)]
        made.append(
            Trace(
                [float(i + 1) for i in range(n)],
                counts,
                counts,
                [[0.0]] * n,
                losses,
                losses,
                [True] * n,
            )
        )
    return made


def test_the_plateau_is_where_the_loss_stays() -> None:
    comparison = Comparison(
        "toy",
        {"a": traces([3, 1.005, 2, 1.005, 1.0], [1.0, 1.0], [3, 2, 1.5], [2, 1, float("nan")])},
        [1.0] * 4,
        [[0.5]] * 4,
    )
    assert comparison.plateau("a", 0.01) == [3, 0, None, None]
    row = comparison.summary(0.01)["a"]
    assert row["reached"] == 0.5
    assert (
        row["seconds"] == [1.0, 4.0, None]
        and row["work"] == [20, 80, None]
        and row["miss"] == [0.5, 0.5, 0.5]
    )
    assert "4000 (1000 to never)" in comparison.table(0.01) and "50%" in comparison.table(0.01)


def test_the_band_reads_losses_between_entries() -> None:
    comparison = Comparison("toy", {"a": traces([4, 3, 2]), "b": traces([8, 8, 8])}, [2.0], [[0.0]])
    assert comparison.band("a", [0.5, 1, 1.5, 2, 9]).tolist() == [[1, 1, 1, 0.5, 0]] * 3
    assert comparison.band("a", [20, 39, 40], axis="work").tolist() == [[1, 1, 0.5]] * 3
    with pytest.raises(InputError, match="axis: 'epochs'"):
        comparison.band("a", [1], axis="epochs")


def test_a_summary_can_be_recorded(logistic, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQLAB_RESULTS", str(tmp_path / "results.json"))
    comparison = compare(
        lambda seed: logistic(), (SHINE(), GridSearch(trials=2)), seeds=[0], outer=Outer(steps=2)
    )
    results.record("bilevel", comparison.summary())
    assert set(json.loads((tmp_path / "results.json").read_text())["bilevel"]) == {
        "SHINE",
        "grid search",
    }


def test_random_search_depends_on_its_seed_alone(problem) -> None:
    draws = [RandomSearch().candidates(problem, seed) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert all(problem.low <= value <= problem.high for value in np.ravel(draws))


@pytest.mark.parametrize(
    ("choice", "culprit"),
    [
        ({"steps": 0}, "steps: 0"),
        ({"tolerance": 1.0}, "tolerance: 1.0"),
        ({"decrease": 0.0}, "decrease: 0.0"),
        ({"move": -1.0}, "move: -1.0"),
        ({"growth": 0.5}, "growth: 0.5"),
    ],
)
def test_impossible_choices_are_named(choice: dict, culprit: str) -> None:
    with pytest.raises(InputError, match=culprit):
        Outer(**choice)


@pytest.mark.parametrize("methods", [(), (SHINE(), SHINE(refine=2))])
def test_methods_need_names_of_their_own(methods, logistic) -> None:
    with pytest.raises(InputError, match="methods: "):
        compare(lambda seed: logistic(), methods)
