"""How good a model is while it is trained: a few slices of files that it does not learn from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deqlab.core.errors import InputError
from deqlab.data.examine.examined import open_volume
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import AT_THE_TRUTH, evaluate, slices_of, summarise
from deqlab.recon.base import Budget
from deqlab.recon.deq.base import MAX_EVALUATIONS, TOLERANCE


def validator(
    files: Sequence[Path], accelerations: Iterable[float], mask: str, slices: Sequence[int] = (4,)
) -> Callable[[Any], dict[str, float]]:
    """A function for `train`: model -> mean PSNR and, of equilibria, converged share and what the
    denoiser does to the truth, on a few slices of `files`, for every acceleration.

    slices: of a volume that has fewer the last one. The model is judged at the tolerance and the
    budget that it is used with, whatever those of its training are. Raises InputError, before
    anything is trained, for a file that validation cannot use: one that is undersampled or empty,
    or whose slices cannot be prepared.
    """
    known = Conditions(tuple(accelerations), mask)
    each = [(path, replace(known, slices=_there(path, slices))) for path in files]
    for path, conditions in each:
        _check(path, conditions)
    # Not a function within this one: a process that trains is handed it by pickle.
    return partial(_validated, each)


def _there(path: Path, slices: Sequence[int]) -> list[int]:
    """Those of `slices` that a volume has; of one that is shorter its last one."""
    count = open_volume(path).slices
    return list(dict.fromkeys(min(index, count - 1) for index in slices))


def _check(path: Path, conditions: Conditions) -> None:
    """InputError where the slices cannot be validated on."""
    volume = open_volume(path)
    if volume.sampled_by == "mask":
        raise InputError(
            f"{path}: is undersampled (it has a `mask`), so its true images are not known;"
            " validation needs fully sampled files"
        )
    volume.require("target", "validation")
    if not volume.maximum > 0:
        raise InputError(f"{path}: is empty; validation needs a volume with signal")
    for acceleration in conditions.acceleration:
        dataset = slices_of(path, conditions, acceleration)
        for index in range(len(dataset)):
            # Whatever keeps a slice from being prepared is told here and not after an epoch.
            dataset[index]


def _validated(each: Sequence[tuple[Path, Conditions]], model: Any) -> dict[str, float]:
    budget = Budget(TOLERANCE, MAX_EVALUATIONS) if model.iterates else Budget()
    device = next(model.parameters()).device
    rows = [
        row
        for path, conditions in each
        for row in evaluate({"model": model}, [path], conditions, budget=budget, device=device)
    ]
    return {
        f"val_{key}_{entry['acceleration']:g}x": entry[key]
        for entry in summarise(rows)
        for key in ("psnr", "converged", *AT_THE_TRUTH)
        if key in entry
    }
