"""Single samples that stand far above what their surroundings allow.

An object of a finite size makes neighbouring samples of k-space alike, and the echo is a hill among
them; its smooth phase makes those opposite of the echo alike. What stands alone, far above the
samples at its own distance from the echo, above nearly all of its neighbours and above its
opposite, came from elsewhere: a spike of radio frequency, a spark, a damaged number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

# Samples of measured scans, of simulated heads and of noise stand at most 4 times above, those of
# noiseless squares and gratings under a mask up to 9 times.
FACTOR = 10.0
# Samples this near to the echo are never judged, nor are those below this share of the echo, whose
# stripes are fainter than noise.
NEAR, LEAST = 6.0, 0.01
RING = 64  # samples of one ring around the echo
NEIGHBOURS, PASSED_OVER = 24, 2  # nearest samples, and how many of them may stand out as well
DENSE = 4.0  # distance of the last of them, up to which samples are dense
MIRRORED = 5  # samples opposite of the echo: of an object's smooth phase both sides are alike
BRIGHTEST = 256  # samples among which the echo is sought


@dataclass(frozen=True)
class StandingOut:
    """One sample: its coil, its position among the points, and how many times it is larger than its
    surroundings.
    """

    coil: int
    at: int
    factor: float


def standing_out(
    samples: np.ndarray, points: np.ndarray, sides: Sequence[int] | None = None
) -> list[StandingOut]:
    """The samples that stand alone, the strongest first.

    samples: magnitudes, real (coil, n). points: where they were measured, (n, 2), one apart on a
    full grid. sides: lengths of a grid that is taken for periodic, as its echo may lie anywhere;
    None for points around an echo at the origin.
    """
    if len(points) <= NEIGHBOURS or not samples.any():
        return []
    tree = cKDTree(points, boxsize=None if sides is None else list(sides))
    points = np.asarray(points, float)
    total = np.linalg.norm(samples, axis=0)
    echo, strongest = _echo(total, tree)
    radius = _distance(points, points[echo] if sides is not None else np.zeros(2), sides)
    order = np.argsort(radius, kind="stable")
    allowed = np.empty_like(samples)
    for ring in np.array_split(order, max(1, len(order) // RING)):
        allowed[:, ring] = np.median(samples[:, ring], 1, keepdims=True)
    if sides is not None:
        # Of an object that fills the field of view the echo has no surroundings either.
        middle = _distance(points, np.asarray(sides) // 2, sides)
        radius = np.minimum(radius, middle)
    judged = (radius > NEAR) & (samples > LEAST * strongest) & (samples > FACTOR * allowed)
    coils, places = np.nonzero(judged)
    if not len(places):
        return []
    unique, back = np.unique(places, return_inverse=True)
    distances, near = tree.query(points[unique], NEIGHBOURS + 1)
    sizes = np.sort(samples[coils[:, None], near[back, 1:]], 1)
    # Where samples are sparse, few of them lie on the bright lines that edges draw.
    dense = distances[back, -1] < DENSE
    bound = np.where(dense, sizes[:, -1 - PASSED_OVER], sizes[:, -1])
    center = points[echo] if sides is not None else np.zeros(2)
    mirrored = 2 * center - points[unique]
    mirrored = mirrored if sides is None else mirrored % np.asarray(sides)
    opposite = tree.query(mirrored, MIRRORED)[1][back]
    # What is half a grid from the echo is its own opposite.
    facing = np.where(opposite == places[:, None], 0, samples[coils[:, None], opposite])
    bound = np.maximum(bound, facing.max(1))
    bound = np.maximum(bound, allowed[coils, places])
    with np.errstate(divide="ignore"):
        factors = samples[coils, places] / bound
    alone = [
        StandingOut(int(coil), int(at), float(factor))
        for coil, at, factor in zip(coils, places, factors, strict=True)
        if factor > FACTOR
    ]
    return sorted(alone, key=lambda one: -one.factor)


def _echo(total: np.ndarray, tree: cKDTree) -> tuple[int, float]:
    """The position whose surroundings are the brightest, and how bright; a spike has none."""
    count = min(BRIGHTEST, len(total))
    brightest = np.argpartition(total, -count)[-count:]
    around = np.sort(total[tree.query(tree.data[brightest], 9)[1]], 1)[:, -1 - PASSED_OVER]
    return int(brightest[around.argmax()]), float(around.max())


def _distance(points: np.ndarray, center: np.ndarray, sides: Sequence[int] | None) -> np.ndarray:
    """Of every point from `center`, (n,)."""
    away = np.abs(points - center)
    if sides is not None:
        away = np.minimum(away, np.asarray(sides) - away)
    return np.asarray(np.linalg.norm(away, axis=1))
