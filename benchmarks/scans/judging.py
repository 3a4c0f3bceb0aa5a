"""How a reconstruction of a measured scan is judged, and what the classical methods reach at their
best weight for that very scan.

A classical solve to a tight tolerance takes seconds and never changes, so what it reaches is kept
in the cache folder, under a name made of the measurement, the method and what is measured of it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from deqlab.core.atomic import atomic_path
from deqlab.core.cache import cache_folder
from deqlab.data import Batch
from deqlab.evaluation.on_scan import psnr_inside
from deqlab.operators import LinearOperator
from deqlab.recon import Budget, create
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.signal.sampling.noise_level import noise_level
from deqlab.solvers import Solution
from scans.cases import Case, Slice

# Of each method, the weight that the search begins with and the ratio of its steps.
LADDERS = {"cg-sense": (6.4e-3, 4.0), "wavelet": (1e-3, 2.0), "tv": (1e-3, 2.0)}
WORTH = 0.01  # dB: a gain below which the search for a weight stops
TIGHT, MOST = Budget(2e-5, 400), 150

# Raise it whenever a classical method would give another image than before.
VERSION = 1

Measure = Callable[[Tensor, Tensor], float]
Models = Mapping[str, FixedPointMethod]


def scaled(image: Tensor, reference: Tensor) -> Tensor:
    """`image` times the real factor with which its magnitude fits best."""
    sizes, wanted = image.abs().double(), reference.abs().double()
    return image * ((sizes * wanted).sum() / sizes.square().sum())


def psnr(image: Tensor, reference: Tensor) -> float:
    """dB inside the head, after the scale that fits best."""
    return psnr_inside(image, reference)


def solved(case: Case, name: str, weight: float, measures: tuple[Measure, ...]) -> dict:
    """What is measured of a classical method's image, by the measures' names; from the cache where
    it was measured before.
    """
    method = create(name, weight=weight)
    names = [measure.__name__ for measure in measures]
    text = f"{VERSION} {case.key} {name} {method} {TIGHT} {names}"
    folder = cache_folder() / "classical-on-scans"
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        image = method.run(case.batch.kspace, case.batch.operator, TIGHT).image
        reference = case.batch.known("reference")
        found = {measure.__name__: measure(image, reference) for measure in measures}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(found))
    return json.loads(path.read_text())


def climbed(score: Callable[[float], float], start: float, ratio: float) -> float:
    """Where on the ladder start * ratio^n a score with one maximum is largest."""
    best = start
    for factor in (ratio, 1 / ratio):
        while score(best * factor) > score(best) + WORTH:
            best *= factor
        if best != start:
            break
    return best


def at_best(case: Case, name: str, measures: tuple[Measure, ...] = (psnr,)) -> dict:
    """As `solved`, at the weight whose PSNR is best for this very case."""
    start, ratio = LADDERS[name]

    def score(weight: float) -> float:
        return solved(case, name, weight, measures)["psnr"]

    return solved(case, name, climbed(score, start, ratio), measures)


def settled(
    model: FixedPointMethod, y: Tensor, A: LinearOperator
) -> tuple[Solution[Tensor], Solution[Tensor]]:
    """The model's solution at its own stop, and that solution carried on to a tenth of the
    tolerance: a stop is not yet an equilibrium.
    """
    stopped = model.solve(y, A)
    return stopped, model.solve(y, A, model.tolerance / 10, MOST, x0=stopped)


def own_noise(whole: Slice, batch: Batch) -> float:
    """The fully sampled scan's noise over its reference, ||n|| / ||t||, from k-space's corners.

    Maps with sum |c|^2 = 1 leave white noise as strong in the image as it is in each coil.
    """
    samples = torch.from_numpy(whole.samples)[None] / float(batch.scale)
    reference = batch.known("reference")
    level = noise_level(samples, torch.ones(1, 1, *samples.shape[-2:], dtype=torch.bool))
    return float(level * (2 * reference.numel()) ** 0.5 / torch.linalg.vector_norm(reference))


def judged(case: Case, models: Models) -> dict[str, float]:
    """The best of each classical method, then each model at its stop and beyond it."""
    batch = case.batch
    y, A, reference = batch.kspace, batch.operator, batch.known("reference")
    row: dict[str, float] = {name: at_best(case, name)["psnr"] for name in LADDERS}
    best = max(row.values())
    row["noise / |t|"] = own_noise(case.slice, batch)
    for name, model in models.items():
        stopped, rest = settled(model, y, A)
        f = model.fixed_point_map(y, A)
        away = torch.linalg.vector_norm(f.denoised(reference) - reference)
        row |= {
            f"{name} at its stop": psnr(stopped.value, reference),
            f"{name} evaluations": int(stopped.evaluations),
            f"{name} later": psnr(rest.value, reference),
            f"{name} over the best": psnr(rest.value, reference) - best,
            f"{name} |R(t) - t| / |t|": float(away / torch.linalg.vector_norm(reference)),
        }
    return row
