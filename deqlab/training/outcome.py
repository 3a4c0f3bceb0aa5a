"""Is a run still a run? Steps that change nothing and losses beyond reason end it."""

import math
from collections.abc import Sequence
from typing import Any

from deqlab.core.errors import InputError

# A loss this many times that of its phase's first step is no noise of training.
DIVERGED = 1e3


def refuse_diverged(phase: str, epoch: int, logs: Sequence[dict[str, float]], first: float) -> None:
    """InputError where every step of an epoch was skipped, as none had a finite gradient, or where
    its losses have left those of the phase's first step, `first`, behind for good.

    logs: of the epoch's steps, each with "skipped" and as a rule with "loss".
    """
    where = f"training: phase {phase}, epoch {epoch}"
    advice = "a smaller learning_rate needed, or a look at the data (`deqlab data check`)"
    skipped = sum(log["skipped"] for log in logs)
    if skipped == len(logs):
        raise InputError(
            f"{where}: none of its {len(logs)} steps had a finite gradient, so nothing was learned;"
            f" {advice}"
        )
    losses = sorted(log.get("loss", 0.0) for log in logs)
    middle = losses[len(losses) // 2]
    broken = sum(not math.isfinite(loss) for loss in losses)
    if 2 * broken > len(losses) or 2 * skipped > len(logs):
        worst = int(max(broken, skipped))
        raise InputError(
            f"{where}: diverged, {worst} of its {len(logs)} steps gave no finite number; {advice}"
        )
    if middle > DIVERGED * first > 0:
        raise InputError(
            f"{where}: diverged, its loss is {middle:.3g} where the phase began with {first:.3g};"
            f" {advice}"
        )


def first_loss(history: Sequence[dict[str, Any]], phase: str, logs: Sequence[dict]) -> float:
    """The loss that a phase began with: of its first epoch, or of its first step where that epoch
    is the present one; 0 where there is none.
    """
    known = [entry for entry in history if entry["phase"] == phase]
    value = (known or logs)[0].get("loss", 0.0)
    return float(value) if math.isfinite(value) else 0.0
