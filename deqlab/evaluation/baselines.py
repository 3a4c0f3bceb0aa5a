"""The classical methods that stand in every judgement, each at its best weight: beside a weak
baseline anything looks strong.

The weights are sought on slices of the built-in validation heads: over weights that lie a factor of
4 apart, then a factor of 2 to either side of the best, and on in that direction while it is the
last one tried. What was found is kept in the cache, under a name that follows from all that it
depends on.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from deqlab.core.atomic import atomic_path
from deqlab.core.cache import cache_folder, made
from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.data.sample import Batch, Sample, collate
from deqlab.data.simulated import SimulationConfig, builtin
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import slices_of
from deqlab.evaluation.tune import Tuning, tune
from deqlab.recon.base import Reconstructor
from deqlab.recon.registry import METHODS, create

# The weights of the first pass.
COARSE = {
    "cg-sense": (2.5e-3, 1e-2, 4e-2),
    "wavelet": (2e-3, 8e-3, 3.2e-2),
    "tv": (2e-3, 8e-3, 3.2e-2),
}
FURTHER = 4  # steps at most beyond the last weight
SLICES = [8]  # of each head, whose 16 lie between chin and crown
# Part of a cached file's name. Raise it whenever a method or its data would give another best
# weight than before.
VERSION = 1


@dataclass(frozen=True)
class Baseline:
    """A classical method at its best weight, and whether that is the smallest or the largest that
    was tried.
    """

    name: str
    weight: float
    at_edge: bool = False

    @property
    def method(self) -> Reconstructor:
        """The method itself."""
        return create(self.name, weight=self.weight)

    def __str__(self) -> str:
        return f"{self.name} {self.weight:g}" + (" (the last one tried)" if self.at_edge else "")


def named(words: Sequence[str]) -> list[str]:
    """The names of baselines, all different; none of them for the one word "none". InputError for
    what is no baseline.
    """
    if list(words) == ["none"]:
        return []
    for word in words:
        if word not in COARSE:
            hint = nearest(word, COARSE)
            listed = ", ".join(COARSE)
            raise InputError(f"baselines: {word!r} given{hint}; {listed} or none alone needed")
    return list(dict.fromkeys(words))


def tuned(
    name: str,
    data: Sequence[Sample | Batch],
    metric: str = "psnr",
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> Tuning:
    """All trials, by weight; arguments as in `tune`."""
    found = tune(name, {"weight": COARSE[name]}, data, metric, device, progress)
    best = found.options["weight"]
    further = [best / 2, best * 2]
    for _ in range(1 + FURTHER):
        more = tune(name, {"weight": further}, data, metric, device, progress)
        trials = sorted([*found.trials, *more.trials], key=lambda trial: trial.options["weight"])
        weights = [trial.options["weight"] for trial in trials]
        found = Tuning(metric, {"weight": weights}, trials)
        if not found.at_edge:
            break
        best = found.options["weight"]
        further = [best / 2 if best == weights[0] else best * 2]
    return found


def baselines(
    names: Sequence[str],
    conditions: Conditions,
    acceleration: float,
    device: str | torch.device = "cpu",
    cache: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Baseline]:
    """The baselines of these names, tuned for PSNR on the validation heads under these conditions.

    Coil maps that a file stores fit its own scan alone: the heads then have those that conditions
    have by default. cache: folder, as in `cache_folder`. progress: called with a label for each.
    """
    alike = replace(conditions, slices=SLICES, seed=0)
    if isinstance(alike.coil_maps, StoredMaps):
        alike = replace(alike, coil_maps=Conditions().coil_maps)
    found, data = [], list[Batch]()
    for name in names:
        if progress is not None:
            progress(f"tuning {name} {acceleration:g}x")
        path = cache_folder(cache) / f"tuned-{name}-{_identity(name, alike, acceleration)}.json"
        if not path.exists():
            data = data or _heads(alike, acceleration, cache)
            tuning = tuned(name, data, device=str(device))
            content = {"weight": tuning.options["weight"], "at_edge": bool(tuning.at_edge)}
            made(path.parent)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(content) + "\n")
        found.append(Baseline(name, **json.loads(path.read_text())))
    return found


def _heads(conditions: Conditions, acceleration: float, cache: str | Path | None) -> list[Batch]:
    """One batch of the chosen slices of each validation head."""
    volumes = [slices_of(path, conditions, acceleration) for path in builtin("val", cache=cache)]
    return [collate([volume[index] for index in range(len(volume))]) for volume in volumes]


def _identity(name: str, conditions: Conditions, acceleration: float) -> str:
    """What two tunings share exactly when all that they depend on is alike."""
    facts = {
        "version": VERSION,
        "heads": SimulationConfig().identity(),
        "conditions": repr(replace(conditions, acceleration=(acceleration,))),
        "method": METHODS.to_json(METHODS.defaults(name)),
        "weights": COARSE[name],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
