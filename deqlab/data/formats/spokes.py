"""Where the samples of spokes lie, of files that hold no trajectory: their angles by a rule."""

import math
from pathlib import Path
from typing import Literal

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest
from deqlab.data.formats.trajectory_fields import LARGEST_MATRIX
from deqlab.signal.sampling.trajectories import AngleRule, GoldenAngles, UniformAngles

# Rule -> (angles, radians over which they go).
RULES: dict[str, tuple[AngleRule, float]] = {
    "uniform": (UniformAngles(), math.pi),
    "circle": (UniformAngles(), 2 * math.pi),
    "golden": (GoldenAngles(), math.pi),
    "tiny-golden": (GoldenAngles(7), math.pi),
}
Spokes = Literal[
    "uniform",
    "circle",
    "golden",
    "tiny-golden",
    "uniform-reversed",
    "circle-reversed",
    "golden-reversed",
    "tiny-golden-reversed",
]
EXPLAINED = (
    "angles of spokes: uniform (over pi), circle (over 2 pi), golden (111.25 degrees), tiny-golden"
    " (the 7th); -reversed where samples run from +0.5 to -0.5 cycles per pixel"
)


def spoke_positions(
    path: Path, spokes: int, samples: int, rule: str | None, matrix: int | None
) -> tuple[np.ndarray, int]:
    """(positions in cycles per pixel, float64 (spokes * samples, 2) with columns (ky, kx), side of
    the image in pixels).

    Spoke n goes along (sin, cos) of its angle, from -0.5 to just below 0.5, or in the other
    direction; sample N // 2 is the centre. rule: of `RULES`, perhaps with "-reversed". matrix:
    pixels a side, as many as there are samples where None. InputError for what does not fit.
    """
    names = (*RULES, *(f"{name}-reversed" for name in RULES))
    if rule is None:
        raise InputError(
            f"{path}: spokes, but no trajectory; say their angles, --spokes {'|'.join(RULES)}"
        )
    if rule not in names:
        raise InputError(
            f"--spokes: {rule!r} given{nearest(rule, names)}; one of {', '.join(names)} needed"
        )
    side = samples if matrix is None else matrix
    if not 1 < side <= LARGEST_MATRIX:
        raise InputError(f"{path}: a matrix of {side}x{side}; 2 to {LARGEST_MATRIX} pixels needed")
    angles, turn = RULES[rule.removesuffix("-reversed")]
    radius = (np.arange(samples) - samples // 2) / samples
    if rule.endswith("-reversed"):
        radius = -radius
    directions = angles.sample(spokes, turn)
    lines = np.stack([np.sin(directions), np.cos(directions)], -1)[:, None] * radius[:, None]
    return lines.reshape(-1, 2), side
