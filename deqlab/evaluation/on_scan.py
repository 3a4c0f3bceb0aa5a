"""Judgement on one measured scan: models beside classical methods, each of these at its best weight
for that very scan, which nobody who uses them knows.

The reference of a measured scan is one coil combination among others, and air is most of it. So
PSNR is taken inside the head, after the scale that fits best.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from deqlab.data.sample import Batch
from deqlab.evaluation.baselines import COARSE
from deqlab.evaluation.denoiser_error import denoiser_error, noise_share
from deqlab.recon.base import Reconstructor
from deqlab.recon.registry import create

INSIDE = 0.1  # of the reference's maximum: what counts as head


def psnr_inside(image: Tensor, reference: Tensor) -> float:
    """dB where the magnitude of `reference` exceeds a tenth of its maximum, which is the peak,
    after the factor with which the magnitude of `image` fits best. Both (..., y, x).
    """
    wanted, found = reference.abs().double(), image.abs().double()
    tiny = torch.finfo(found.dtype).tiny
    found = found * ((found * wanted).sum() / found.square().sum().clamp_min(tiny))
    inside = wanted > INSIDE * wanted.max()
    error = (found - wanted)[inside].square().mean()
    return float(10 * torch.log10(wanted.max().square() / error))


def best_weight(score: Callable[[float], float], coarse: Sequence[float]) -> tuple[float, float]:
    """(weight, score) of the best in two passes: over `coarse`, which are a factor of 4 apart, and
    a factor of 2 to either side of the best of these.
    """
    scores = {weight: score(weight) for weight in coarse}
    middle = max(scores, key=scores.__getitem__)
    scores |= {weight: score(weight) for weight in (middle / 2, middle * 2)}
    best = max(scores, key=scores.__getitem__)
    return best, scores[best]


@torch.no_grad()
def judged(batch: Batch, models: Mapping[str, Reconstructor]) -> dict[str, float]:
    """One scan's row, by name: PSNR of every baseline at its best weight for this scan and of every
    model; "model |R(t)-t|/|t|" of those with a denoiser, and "|noise|/|t|" beside.
    """
    y, A, reference = batch.kspace, batch.operator, batch.known("reference")
    row = {}
    for name, coarse in COARSE.items():

        def score(weight: float, name: str = name) -> float:
            return psnr_inside(create(name, weight=weight)(y, A), reference)

        row[name] = best_weight(score, coarse)[1]
    row |= {name: psnr_inside(model(y, A), reference) for name, model in models.items()}
    for name, model in models.items():
        error = denoiser_error(model, batch)
        if error is not None:
            row[f"{name} |R(t)-t|/|t|"] = float(error.mean())
    noise = noise_share(batch)
    return row if noise is None else row | {"|noise|/|t|": float(noise.mean())}
