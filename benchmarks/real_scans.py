"""Measured scans that no weight has seen: models beside classical methods, each of these at its
best weight for that very scan. PSNR in dB inside the head, at the least-squares scale.

The folder that DEQLAB_REAL_DATA names holds fully sampled files in fastMRI's schema; where it is
not set, there is nothing to do. Coil maps are ESPIRiT's, from the calibration lines of the
undersampled data. Classical methods are solved to 2e-5 or their budget, models as they come and
once more to a tenth of their tolerance, for a stop is not yet an equilibrium.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deqlab.core.text_table import table
from deqlab.data import SliceDataset, collate
from deqlab.recon import Budget, create, load
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.sampling.masks import RandomMask, default_center_fraction

WEIGHTS = {
    "cg-sense": (4e-4, 1.6e-3, 6.4e-3, 2.56e-2),
    "wavelet": (5e-4, 1e-3, 2e-3, 4e-3),
    "tv": (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3),
}
TIGHT, MOST = Budget(2e-5, 400), 150
INSIDE = 0.1  # of the reference's maximum: what counts as head


@dataclass(frozen=True)
class Case:
    """One scan under one mask. lines: calibration lines, None for the usual share."""

    path: Path
    acceleration: float
    lines: int | None
    seed: int

    def batch(self):
        """Its only slice, as a batch of one."""
        width = SliceDataset(self.path).volumes[0].shape[-1]
        usual = default_center_fraction(self.acceleration)
        share = usual if self.lines is None else self.lines / width
        rule = RandomMask(self.acceleration, share)
        dataset = SliceDataset(self.path, rule, seed=self.seed, coil_maps=ESPIRiT())
        return collate([dataset[0]])

    @property
    def name(self) -> str:
        """In tables."""
        lines = "" if self.lines is None else f", {self.lines} lines"
        return f"{self.path.stem} {self.acceleration:g}x{lines}, mask {self.seed}"


def psnr(image: Tensor, reference: Tensor) -> float:
    """dB inside the head, after the scale that fits best."""
    image, reference = image.abs().flatten().double(), reference.abs().flatten().double()
    image = image * (image @ reference) / (image @ image)
    inside = reference > INSIDE * reference.max()
    error = (image - reference)[inside].square().mean()
    return float(10 * torch.log10(reference.max().square() / error))


def judged(case: Case, models: list[str]) -> dict[str, float | int]:
    """One row: the best of each classical method, then each model at its stop and beyond it."""
    batch = case.batch()
    y, A, reference = batch.kspace, batch.operator, batch.known("reference")
    row: dict[str, float | int] = {}
    for name, weights in WEIGHTS.items():
        images = [create(name, weight=weight).run(y, A, TIGHT).image for weight in weights]
        row[name] = max(psnr(image, reference) for image in images)
    best = max(row.values())
    for name in models:
        model = load(name)
        stopped = model.solve(y, A)
        rest = model.solve(y, A, model.tolerance / 10, MOST, x0=stopped)
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


def cases(folder: Path, seeds: int) -> Iterator[Case]:
    """Every fully sampled file of the folder, at 4x and 8x, with the usual lines and with 16."""
    for path in sorted(folder.glob("*.h5")):
        if SliceDataset(path).volumes[0].sampled_by is None:
            for acceleration in (4.0, 8.0):
                for lines in (None, 16):
                    yield from (Case(path, acceleration, lines, seed) for seed in range(seeds))


def main() -> None:
    """Prints a row as soon as it is there, then means and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=["de-grad"])
    parser.add_argument("--seeds", type=int, default=5, help="masks of each kind")
    arguments = parser.parse_args()
    folder = os.environ.get("DEQLAB_REAL_DATA")
    if not folder:
        print("DEQLAB_REAL_DATA is not set: no measured scans to judge by")
        return
    rows: dict[str, dict[str, float | int]] = {}
    with torch.no_grad():
        for case in cases(Path(folder), arguments.seeds):
            rows[case.name] = judged(case, arguments.model)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in rows[case.name].items())
            print(f"{case.name}: {shown}", flush=True)
    for rate in ("4x", "8x"):
        chosen = [row for name, row in rows.items() if f" {rate}" in name]
        if not chosen:
            continue
        lines = [[rate, "mean", "spread", "least"]]
        for key in chosen[0]:
            values = np.array([row[key] for row in chosen], dtype=float)
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            lines.append([key, *(f"{part:.3g}" for part in (values.mean(), spread, values.min()))])
        print(table(lines))


if __name__ == "__main__":
    main()
