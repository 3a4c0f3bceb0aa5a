"""Off the grid, where no model was trained: spokes of measured scans."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from deqlab.operators import NUFFTOperator
from deqlab.operators.gridding import coil_maps_from_center, density_weights
from deqlab.recon import create
from deqlab.signal.sampling.trajectories import Radial
from deqlab.signal.transforms.fourier import ifft2c
from scans.cases import Effort, Row, Slice, fully_sampled
from scans.judging import LADDERS, TIGHT, Models, climbed, psnr

TITLE = "spokes, PSNR over the best of CG-SENSE, wavelets and total variation"
NEEDS_SCANS = True
NOTES = (
    "Samples along spokes are computed from the fully sampled coil images, with their noise; a side"
    " of the image over the acceleration is the number of spokes, uniform over pi, 2 samples a"
    " pixel. Coil maps are those of the samples near the centre, density weights those of Pipe and"
    " Menon. Classical methods at their best weight for that very scan; models at their own stop.",
)
# Of these weights the search takes a ratio of four, as each solve is slow off the grid.
RATIO = 4.0


def rows(models: Models, folder: Path, effort: Effort) -> Iterator[Row]:
    """A row for every scan and acceleration."""
    for scan in fully_sampled(folder):
        for acceleration in effort.accelerations:
            count = round(max(scan.recon_shape) / acceleration)
            found = _found(scan, count, models)
            yield Row(f"{acceleration:g}x", f"{scan.path.stem} {count} spokes", found)


def _found(scan: Slice, count: int, models: Models) -> dict[str, float]:
    y, A, reference = measured(scan, count)
    row = {"weighted adjoint": psnr(A.H(y), reference)}
    for name, (start, _) in LADDERS.items():
        scores: dict[float, float] = {}

        def score(weight: float, name: str = name, scores: dict = scores) -> float:
            if weight not in scores:
                method = create(name, weight=weight)
                scores[weight] = psnr(method.run(y, A, TIGHT).image, reference)
            return scores[weight]

        climbed(score, start, RATIO)
        row[name] = max(scores.values())
    best = max(row.values())
    for name, model in models.items():
        solution = model.solve(y, A)
        row[f"{name} over the best"] = psnr(solution.value, reference) - best
        row[f"{name} evaluations"] = int(solution.evaluations)
    return row


def measured(scan: Slice, count: int) -> tuple[Tensor, NUFFTOperator, Tensor]:
    """Weighted samples, complex (1, coil, samples), their operator, and the image of the fully
    sampled scan by the same maps, complex (1, y, x), relative to its maximum.
    """
    images = ifft2c(torch.from_numpy(scan.samples))
    shape = scan.recon_shape
    trajectory = Radial(count).sample(shape)
    weights = density_weights(trajectory, shape)
    F = NUFFTOperator(trajectory, shape)
    samples = F(images)[:, 0]
    maps = coil_maps_from_center(samples, trajectory, weights, shape)
    reference = (maps.conj() * images).sum(0)[None]
    scale = reference.abs().amax()
    A = NUFFTOperator(trajectory, shape, maps, weights=weights)
    return A.weigh(samples[None] / scale), A, reference / scale
