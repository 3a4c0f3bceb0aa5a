"""How well the mean of paired differences is known.

B. Efron, Bootstrap methods: another look at the jackknife, Ann. Statist. 7 (1979); with several
crossed factors, such as seeds of a training and slices of a test, as in A. B. Owen, The pigeonhole
bootstrap, Ann. Appl. Stat. 1 (2007).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.errors import InputError

DRAWS = 10_000


@dataclass(frozen=True)
class MeanDifference:
    """A mean and the ends of its 95 % bootstrap interval; both NaN where there is but one value."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """As +1.23 [+1.10, +1.36]; without an interval where there is none."""
        interval = "" if np.isnan(self.low) else f" [{self.low:+.2f}, {self.high:+.2f}]"
        return f"{self.mean:+.2f}{interval}"


def mean_difference(values: ArrayLike, seed: int = 0) -> MeanDifference:
    """The mean of differences, with the 2.5 % and 97.5 % quantiles of the means of 10 000 tables
    that are drawn from theirs.

    values: real, with an axis for each factor that the mean shall speak about, such as (seeds,
        slices). Along every axis members are drawn with replacement, whole rows and whole columns,
        so that an axis of one counts as fixed. InputError where there is nothing, or no number.
    seed: of the draws.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"values: {array.shape} given, finite numbers and one at least needed")
    if array.size == 1:
        return MeanDifference(float(array.mean()), float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    means = np.broadcast_to(array, (DRAWS, *array.shape))
    for size in reversed(array.shape):
        # How often each member is drawn, over their number: the mean along that axis.
        shares = random.multinomial(size, np.full(size, 1 / size), DRAWS) / size
        means = np.einsum("d...i,di->d...", means, shares)
    low, high = np.quantile(means, (0.025, 0.975))
    return MeanDifference(float(array.mean()), float(low), float(high))
