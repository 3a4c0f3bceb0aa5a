"""How wrong the phase is."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from deqlab.core.options import option, options
from deqlab.metrics.convention import Convention
from deqlab.metrics.protocol import Better, PhaseMetric, complex_volumes


@options
class PhaseError(Convention, PhaseMetric):
    """Root of the mean squared angle between image and target, in radians (0 to pi).

    In the air the angle is that of noise, so pixels count by their target's magnitude unless all
    are to count alike.
    """

    weight: Literal["magnitude", "alike"] = option(
        "magnitude", "by what a pixel counts: the target's magnitude, or all alike"
    )
    constant: Literal["counts", "removed"] = option(
        "counts",
        "whether an angle that all pixels have in common is an error, or taken out of the image"
        " first (of each slice where the mean is over slices)",
    )

    better: ClassVar[Better] = "lower"
    title: ClassVar[str] = "phase (rad)"
    digits: ClassVar[int] = 3

    def __call__(self, target: ArrayLike, image: ArrayLike, maximum: float | None = None) -> float:
        """A number from complex volumes (slices, y, x); NaN where the target is zero."""
        return self.score(self._one, *complex_volumes(target, image))

    def _one(self, target: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float:
        target, image = target[inside], image[inside]
        turned = image * target.conj()
        if self.constant == "removed":
            turned = turned * np.exp(-1j * np.angle(turned.sum()))
        weight = np.abs(target) if self.weight == "magnitude" else np.ones(target.shape)
        total = weight.sum()
        if total == 0:
            return float("nan")
        return float(np.sqrt((weight * np.angle(turned) ** 2).sum() / total))


phase_error = PhaseError()
