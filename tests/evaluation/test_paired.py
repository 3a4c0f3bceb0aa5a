"""How well the mean of paired differences is known: intervals as wide as the factors vary."""

from __future__ import annotations

import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.evaluation.paired import mean_difference

WIDTH = 2 * 1.96  # standard errors in a 95 % interval of a normal mean


def test_the_interval_is_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(1).normal(0.3, 2.0, 200)
    found = mean_difference(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(WIDTH * values.std() / 200**0.5, rel=0.05)


def test_seeds_and_slices_both_widen_it() -> None:
    """Of sums of an effect of the row and one of the column the variances of both means add up."""
    random = np.random.default_rng(2)
    rows, columns = random.normal(0, 1.0, 30), random.normal(0, 1.5, 50)
    found = mean_difference(rows[:, None] + columns)
    error = (rows.var() / 30 + columns.var() / 50) ** 0.5
    assert found.high - found.low == pytest.approx(WIDTH * error, rel=0.05)
    alone = mean_difference(rows[:1, None] + columns)
    error = columns.std() / 50**0.5
    assert alone.high - alone.low == pytest.approx(WIDTH * error, rel=0.05)


def test_what_cancels_in_pairs_leaves_no_doubt() -> None:
    found = mean_difference(np.full((2, 5), 0.5))
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert str(found) == "+0.50 [+0.50, +0.50]"


def test_one_value_has_no_interval() -> None:
    found = mean_difference([[-1.0]])
    assert np.isnan(found.low) and np.isnan(found.high) and str(found) == "-1.00"


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[np.inf, 0.0]]])
def test_what_is_no_number_is_refused(values: list) -> None:
    with pytest.raises(InputError, match="finite numbers and one at least needed"):
        mean_difference(values)
