"""Variable-density Poisson discs: random points of the phase-encode plane that keep their distance
from each other.

Random points have gaps and clusters; a distance that is kept has neither, and its point spread
function is low about the main peak.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.signal.sampling.grid_masks import (
    calibration_square,
    center_distance,
    check_pattern,
    check_reach,
    complete,
)


@dataclass(frozen=True)
class PoissonDisc:
    """Points at least s (1 + growth * distance) grid steps apart, with the s that gives round(y x /
    acceleration) of them.

    distance: from the centre, 1 in the middle of an edge (`center_distance`). growth: 0 is a
    uniform pattern, 2 has points three times farther apart at the edge than in the centre. The
    calibration square is measured whole; the law holds among the points outside of it.
    corners: whether points at a distance above 1 are measured too, where an image has nearly
        nothing.
    """

    acceleration: float
    calibration: int = 24
    growth: float = 2.0
    corners: bool = False

    def __post_init__(self) -> None:
        check_pattern(self)
        if not 0 <= self.growth < np.inf:
            raise InputError(f"growth: {self.growth} given, 0 or more needed")

    def sample(self, shape: tuple[int, int], seed: int) -> Tensor:
        """The pattern of one draw: bool (y, x), True where a point is measured; the same for the
        same `seed`.
        """
        mask, count = calibration_square(shape, self)
        distance = center_distance(shape)
        spacing = 1 + self.growth * distance
        allowed = ~mask if self.corners else ~mask & (distance <= 1)
        check_reach(mask | allowed, count)
        points = self._densest(spacing, allowed, count - int(mask.sum()), seed)
        # Points too many are left out at random, which keeps the distances of the others. They are
        # few, but for growth 0: distances on a grid are discrete, so a uniform maximal set has only
        # certain sizes.
        draw = np.random.default_rng([seed, 1]).uniform(size=shape)
        return complete(mask, np.where(points, draw, np.inf), count)

    def _densest(
        self, spacing: np.ndarray, allowed: np.ndarray, count: int, seed: int
    ) -> np.ndarray:
        """A maximal set of at least `count` points and of few more, bool (y, x), by search for the
        scale of `spacing`.
        """
        low, high = 1 / spacing.max(), None  # at `low` every point fits
        points, scale = allowed, _first_scale(spacing[allowed], count)
        for _ in range(20):
            drawn = poisson_disc(scale * spacing, np.random.default_rng([seed, 0]), allowed)
            found = int(drawn.sum())
            if found >= count:
                points, low = drawn, max(low, scale)
            else:
                high = scale
            if count <= found <= 1.01 * count or (high is not None and high - low < 1e-4 * low):
                break
            # The number of points goes with the inverse square of their distance; aim at the middle
            # of what is accepted.
            scale *= np.sqrt(found / max(1.005 * count, 1)) if found else 0.5
            if not low < scale < (np.inf if high is None else high):
                scale = 2 * low if high is None else (low + high) / 2
        return points


def poisson_disc(
    spacing: np.ndarray, random: np.random.Generator, allowed: np.ndarray | None = None
) -> np.ndarray:
    """A maximal random set of grid points of which any two are at least min(spacing[p], spacing[q])
    apart: bool (y, x).

    spacing: positive float (y, x) in grid steps. allowed: bool (y, x), the points that may be
        chosen; all of them where None.
    Maximal: every allowed point that is not chosen lies closer than spacing[p] to a chosen point p.

    Darts are thrown in rounds, many at once: about one candidate for every disc, in random order. A
    candidate stays if no later one's disc covers it; all points in its disc are then closed. A
    round costs a few array operations, and few rounds are needed. Source of the idea: Luby, A
    simple parallel algorithm for the maximal independent set problem, SIAM J Comput 15:1036 (1986).
    """
    if not (spacing > 0).all():
        raise InputError("spacing: positive numbers needed")
    rows, columns = spacing.shape
    if allowed is None:
        allowed = np.ones_like(spacing, dtype=bool)
    # A point nowhere farther than the whole matrix from another needs no larger disc.
    margin = min(int(np.ceil(spacing.max())), max(rows, columns))
    steps = np.arange(-margin, margin + 1)
    squares = steps[:, None] ** 2 + steps[None, :] ** 2
    # Offsets by distance: a disc is the first so many of them, on a matrix with a margin, where no
    # index can leave.
    order = np.argsort(squares, axis=None, kind="stable")
    pitch = columns + 2 * margin
    offsets = (steps[:, None] * pitch + steps[None, :]).ravel()[order].astype(np.int32)
    sizes = np.searchsorted(np.sqrt(squares.ravel()[order]), spacing.ravel(), side="left")
    sizes = np.pad(sizes.reshape(spacing.shape), margin, constant_values=1).ravel()
    free = np.pad(allowed, margin).ravel()
    chosen = np.zeros_like(free)
    best = np.empty(free.shape, dtype=np.int32)
    left = np.flatnonzero(free).astype(np.int32)
    total = len(left)
    while len(left):
        # One candidate for as many free points as its disc still holds; all of them in the end.
        draw = random.uniform(size=len(left)) * sizes[left] * (len(left) / total)
        candidates = random.permutation(left[draw < 1])
        lengths = sizes[candidates]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0, dtype=np.int32) - np.repeat(
            ends - lengths, lengths
        ).astype(np.int32)
        covered = np.repeat(candidates, lengths) + offsets[within]
        number = np.arange(len(candidates), dtype=np.int32)
        best[covered] = np.repeat(
            number, lengths
        )  # of several assignments to an index the last one stays
        stays = best[candidates] == number
        chosen[candidates[stays]] = True
        free[covered[np.repeat(stays, lengths)]] = False
        left = left[free[left]]
    return chosen.reshape(-1, pitch)[margin : margin + rows, margin : margin + columns].copy()


def _first_scale(spacing: np.ndarray, count: int) -> float:
    """The scale at which discs thrown at random until none fits are `count`, from their covered
    share, 0.547 in the plane.

    Source of the share: Hinrichsen, Feder and Jossang, Geometry of random sequential adsorption, J
    Stat Phys 44:793 (1986).
    """
    low, high = 1e-3, 1e3
    for _ in range(40):
        scale = np.sqrt(low * high)
        expected = np.minimum(1, 0.547 * 4 / np.pi / (scale * spacing) ** 2).sum()
        low, high = (scale, high) if expected > count else (low, scale)
    return scale
