"""Every method judged alike: the same slices, masks and metrics, one row per method, volume and
acceleration.
"""

import copy
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deqlab.data.dataset import FastMRIDataset
from deqlab.data.prepare.on_grid import crop_magnitude
from deqlab.data.prepare.stored_maps import CoilMaps
from deqlab.data.sample import Sample, collate
from deqlab.metrics.image_metrics import METRICS
from deqlab.recon.deq.base import MAX_EVALUATIONS, TOLERANCE
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.training.draw import mask_rules


@dataclass(frozen=True)
class Row:
    """One volume, one acceleration, one method.

    psnr (dB), ssim, nmse: over the volume, data range its target's maximum. evaluations, converged:
    per slice, None for a method that does not solve for a fixed point. residual: the largest
    relative residual of the volume's slices.
    """

    method: str
    file: str
    contrast: str
    acceleration: float
    psnr: float
    ssim: float
    nmse: float
    seconds: float
    evaluations: list[int] | None = None
    converged: list[bool] | None = None
    residual: float | None = None


@torch.no_grad()
def evaluate(
    methods: Mapping[str, nn.Module],
    files: Sequence[Path],
    accelerations: Iterable[float] = (4, 8),
    mask: str = "random",
    slices=None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    center_fraction: float | None = None,
    progress=None,
    coil_maps: CoilMaps = LowResolution(),
) -> list[Row]:
    """A Row for every volume, acceleration and method; all methods see the same k-space.

    methods: label -> reconstructor, called as image = method(kspace, A). slices, coil_maps: as in
    FastMRIDataset. progress: called with a label before each piece of work.
    """
    rows = []
    for acceleration in accelerations:
        rules = mask_rules([mask], [acceleration], center_fraction)
        for path in files:
            dataset = FastMRIDataset([path], rules, slices=slices, seed=seed, coil_maps=coil_maps)
            batch = collate([dataset[index] for index in range(len(dataset))]).to(device)
            for label, method in methods.items():
                if progress is not None:
                    progress(f"{label} {path.name} {acceleration:g}x")
                rows.append(judge(label, method, batch, acceleration))
    return rows


@torch.no_grad()
def judge(label: str, method: nn.Module, volume: Sample, acceleration: float) -> Row:
    """The Row of one method on one volume, given as a batch of its slices."""
    begin = time.perf_counter()
    solution = (
        method.solve(volume.kspace, volume.operator) if hasattr(method, "fixed_point_map") else None
    )
    image = method(volume.kspace, volume.operator) if solution is None else solution.value
    seconds = time.perf_counter() - begin
    target, magnitude = (
        to_volume(volume.target, volume),
        to_volume(crop_magnitude(image, volume.crop), volume),
    )
    # `maximum` belongs to the whole volume also where only some of its slices are judged.
    peak = float(volume.maximum[0])
    scores = {"nmse": METRICS["nmse"](target, magnitude)} | {
        name: METRICS[name](target, magnitude, peak) for name in ("psnr", "ssim")
    }
    details = {}
    if solution is not None:
        details = {
            "evaluations": solution.evaluations.tolist(),
            "converged": solution.converged.tolist(),
            "residual": float(solution.residual.max()),
        }
    return Row(
        label,
        volume.file[0],
        volume.contrast[0],
        float(acceleration),
        **scores,
        seconds=seconds,
        **details,
    )


def to_volume(magnitude: Tensor, volume: Sample) -> np.ndarray:
    """Magnitudes (slices, h, w) back in the file's units, float64."""
    return (
        magnitude.cpu().numpy().astype(np.float64) * np.asarray(volume.scale.cpu())[:, None, None]
    )


def summarise(rows: Sequence[Row]) -> list[dict]:
    """Mean and standard deviation over volumes for every method and acceleration, with the share of
    slices that converged.
    """
    keys = list(dict.fromkeys((row.acceleration, row.method) for row in rows))
    table = []
    for acceleration, method in keys:
        group = [row for row in rows if (row.acceleration, row.method) == (acceleration, method)]
        entry: dict = {"acceleration": acceleration, "method": method, "volumes": len(group)}
        for name in METRICS:
            values = np.array([getattr(row, name) for row in group])
            entry |= {
                name: float(values.mean()),
                f"{name}_std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            }
        if group[0].converged is not None:
            entry["converged"] = float(np.mean([flag for row in group for flag in row.converged]))
            entry["evaluations"] = float(
                np.median([count for row in group for count in row.evaluations])
            )
        entry["seconds"] = sum(row.seconds for row in group)
        table.append(entry)
    return table


def table_text(table: Sequence[dict]) -> str:
    """The summary as aligned text."""
    lines = [
        f"{'accel':>5} {'method':<14} {'PSNR (dB)':>14} {'SSIM':>15} {'converged':>9} {'evals':>5}"
        f" {'volumes':>7}"
    ]
    for entry in table:
        share = f"{entry['converged']:.0%}" if "converged" in entry else "-"
        count = f"{entry['evaluations']:.0f}" if "evaluations" in entry else "-"
        lines.append(
            f"{entry['acceleration']:>4g}x {entry['method']:<14} {entry['psnr']:>6.2f} ±"
            f" {entry['psnr_std']:<5.2f} {entry['ssim']:>6.4f} ± {entry['ssim_std']:<6.4f}"
            f" {share:>9} {count:>5} {entry['volumes']:>7}"
        )
    return "\n".join(lines)


def validator(files: Sequence[Path], accelerations: Iterable[float], mask: str, slices=(4,)):
    """A function for `train`: model -> mean PSNR and converged share on a few slices of `files`,
    one pair for every acceleration.

    The model is judged at the tolerance and the budget that it is used with, whatever those of its
    training are.
    """
    accelerations = tuple(accelerations)

    def validate(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        judged = copy.copy(model)  # shares the weights; only these two attributes are its own
        judged.tolerance, judged.max_evaluations = TOLERANCE, MAX_EVALUATIONS
        table = summarise(
            evaluate({"model": judged}, files, accelerations, mask, list(slices), device=device)
        )
        return {
            f"val_{key}_{entry['acceleration']:g}x": entry[key]
            for entry in table
            for key in ("psnr", "converged")
        }

    return validate
