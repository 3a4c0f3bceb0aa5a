"""Are stops near equilibria? On the built-in test heads, with their PSNR and SSIM, and on scans."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from deqlab.data import Batch, SliceDataset, collate
from deqlab.data.prepare.on_grid import crop_magnitude
from deqlab.data.simulated import builtin
from deqlab.evaluation.judge import judge
from deqlab.recon import Budget
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.signal.sampling.masks import mask_rules
from scans.cases import Case, Effort, Row, fully_sampled
from scans.judging import Models, psnr

TITLE = "stops (32 / 26 dB, SSIM 0.85 / 0.75, 95 % converged, 0.1 and 0.3 dB of change wanted)"
NEEDS_SCANS = False
MASKS = 1
NOTES = (
    "Of heads PSNR and SSIM are those of `deqlab evaluate` (over volumes, data range: the volume's"
    " maximum). converged: share of slices within 50 evaluations to 1e-3, whatever the model's own"
    " tolerance. change: PSNR after 500 evaluations (fewer where 1e-6 is reached) minus PSNR at the"
    " model's own stop, per slice; mean, and largest in size.",
)
USUAL = Budget(1e-3, 50)
END, STILL = 500, 1e-6


def rows(models: Models, folder: Path | None, effort: Effort) -> Iterator[Row]:
    """A row for every acceleration and test volume, then for every scan."""
    for acceleration in effort.accelerations:
        for path in builtin("test")[: effort.volumes]:
            batch = _heads(path, acceleration, effort.slices)
            values = {}
            for name, model in models.items():
                values |= _on_heads(name, model, batch, acceleration)
            yield Row(f"heads, {acceleration:g}x", f"{path.stem} {acceleration:g}x", values)
    for scan in fully_sampled(folder) if folder else ():
        for acceleration in effort.accelerations:
            for seed in range(effort.masks or MASKS):
                case = Case(scan, acceleration, None, seed)
                values = {}
                for name, model in models.items():
                    values |= _on_scan(name, model, case.batch)
                yield Row(f"scans, {acceleration:g}x", case.name, values)


def _heads(path: Path, acceleration: float, slices: int | None) -> Batch:
    chosen = None if slices is None else (0, slices)
    dataset = SliceDataset(path, mask_rules(["random"], [acceleration]), chosen)
    return collate([dataset[index] for index in range(len(dataset))])


def _on_heads(
    name: str, model: FixedPointMethod, batch: Batch, acceleration: float
) -> dict[str, float]:
    scores = judge(name, model, batch, acceleration).scores
    stopped, late = carried_on(model, batch)
    target = batch.known("target").double()

    def errors(image: Tensor) -> Tensor:
        magnitude = crop_magnitude(image, batch.crop).double()
        return (magnitude - target).square().mean((-2, -1))

    change = 10 * torch.log10(errors(stopped) / errors(late))
    return {
        f"{name} PSNR": scores["psnr"],
        f"{name} SSIM": scores["ssim"],
        **_stops(name, model, batch, change),
    }


def _on_scan(name: str, model: FixedPointMethod, batch: Batch) -> dict[str, float]:
    reference = batch.known("reference")
    before, after = (psnr(image, reference) for image in carried_on(model, batch))
    return {f"{name} PSNR": before, **_stops(name, model, batch, torch.tensor([after - before]))}


def carried_on(model: FixedPointMethod, batch: Batch) -> tuple[Tensor, Tensor]:
    """Images (batch, y, x) at the model's own stop and after 500 evaluations in all."""
    stopped = model.solve(batch.kspace, batch.operator)
    left = (END - stopped.evaluations).clamp_min(1)
    return stopped.value, model.solve(batch.kspace, batch.operator, STILL, left, x0=stopped).value


def _stops(name: str, model: FixedPointMethod, batch: Batch, change: Tensor) -> dict[str, float]:
    """change: dB, real (batch,)."""
    usual = model.solve(batch.kspace, batch.operator, USUAL.tolerance, USUAL.max_evaluations)
    return {
        f"{name} converged": float(usual.converged.double().mean()),
        f"{name} mean change": float(change.mean()),
        f"{name} largest change": float(change[change.abs().argmax()]),
    }
