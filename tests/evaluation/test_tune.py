"""Tuning finds the best of its grid, reports all of it, and refuses what cannot be tried before it
tries anything.
"""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.data.dataset import SliceDataset
from deqlab.evaluation.judge import judge
from deqlab.evaluation.tune import tune
from deqlab.recon import Outcome
from deqlab.recon.base import Method
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.signal.sampling.masks import mask_rules


@pytest.fixture(scope="module")
def slices(tiny_data) -> list:
    dataset = SliceDataset(
        tiny_data["test"], mask_rules(["random"], [4], None), slices="all", seed=0
    )
    return [dataset[index] for index in range(3)]


def test_the_best_of_the_grid_is_found(slices) -> None:
    weights = [1e-4, 1e-2, 0.1, 10.0]
    result = tune("cg-sense", {"weight": weights}, slices)
    assert [trial.options for trial in result.trials] == [{"weight": weight} for weight in weights]
    scores = [trial.scores["psnr"] for trial in result.trials]
    assert (
        len(set(scores)) == 4
        and result.best.scores["psnr"] == max(scores)
        and result.options == result.trials[scores.index(max(scores))].options
    )
    assert tune("cg-sense", {"weight": weights}, slices, "nmse").best.scores["nmse"] == min(
        trial.scores["nmse"] for trial in result.trials
    )
    # Each score is the mean of what evaluation says of each slice.
    from deqlab.data.sample import collate

    rows = [judge("", CGSense(10.0), collate([sample]), 4.0) for sample in slices]
    assert result.trials[3].scores["psnr"] == pytest.approx(
        sum(row.scores["psnr"] for row in rows) / 3
    )


def test_every_combination_is_tried_and_reported(slices) -> None:
    seen: list[str] = []
    result = tune(
        "wavelet",
        {"weight": [1e-3, 1e-2], "spinning.shifts": [1, 2]},
        slices[:1],
        progress=seen.append,
    )
    assert len(result.trials) == len(seen) == 4 and seen[1] == "weight=0.001, spinning.shifts=2"
    assert all(0 <= trial.converged <= 1 for trial in result.trials)
    report = result.report()
    assert (
        report.count("\n") == 5
        and report.count("best psnr") == 1
        and "0.01" in report
        and "shifts" in report
    )
    assert tune("cg-sense", {"weight": [1e-2]}, slices[:1]).best.converged == 1
    assert tune("grappa", {"kernel": [(5, 1)]}, slices[:1]).best.converged is None


def test_a_best_value_at_the_edge_is_told(slices) -> None:
    assert tune("cg-sense", {"weight": [1.0, 10.0, 100.0]}, slices[:1]).at_edge == ["weight"]
    assert tune("cg-sense", {"weight": [1.0, 10.0]}, slices[:1]).at_edge == []


@pytest.mark.parametrize(
    "family, grid, metric, words",
    [
        ("wavelet", {"wieght": [1.0]}, "psnr", ["did you mean weight?"]),
        ("wavelet", {"weight": [1.0, -1.0]}, "psnr", ["weight: -1.0"]),
        ("wavelet", {}, "psnr", ["grid"]),
        ("wavelet", {"weight": []}, "psnr", ["grid"]),
        ("wavelet", {"weight": [1.0]}, "psrn", ["unknown metric 'psrn'", "did you mean psnr?"]),
    ],
)
def test_what_cannot_be_tried_is_named(
    slices, family: str, grid: dict, metric: str, words: list[str]
) -> None:
    def no_work(label: str) -> None:
        raise AssertionError("tried")

    with pytest.raises(InputError) as error:
        tune(family, grid, slices[:1], metric, progress=no_work)
    assert all(word in str(error.value) for word in words)


def test_any_maker_of_reconstructors_will_do(slices) -> None:
    @options
    class Scaled(Method):
        factor: float = option(1.0, "of the ones that it gives for an image")

        def reconstruct(self, kspace, A, budget):
            return Outcome(self.factor * torch.ones_like(A.H(kspace)))

    assert tune(Scaled, {"factor": [0.0, 1e3]}, slices[:1]).options == {"factor": 0.0}
