"""Four roads by which a learned prior may deal with the phase of scans, under one budget, beside a
network that is told nothing of phase.

plain: real and imaginary part, varied phase in training alone. local: an image turned by its own
local phase. modulus: filters that treat both parts alike, gates of moduli. joint: the phase map is
a second unknown of the equilibrium. reference: the phase of a first reconstruction by total
variation, held fixed. Each network learns Gaussian denoising on the same varied draws, is put into
DE-Grad, and is judged on measured scans at the best level and weight of a short ladder for each
case, as total variation is at its best weight. The folder that DEQLAB_REAL_DATA names holds the
scans; where it is not set, the denoisers alone are judged.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scans.cases import Case, Row, Slice, fully_sampled
from scans.judging import at_best, own_noise, psnr
from scans.roads import ROADS, Training, equilibrium, learned, set_rule

from deqlab.core.cache import cache_folder
from deqlab.core.text_table import table
from deqlab.data.sample import collate
from deqlab.data.varied.anatomies import AnatomyOptions
from deqlab.networks.protocol import at_level
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad

SCANS = ("brain_t1_7ch_256x216.h5", "brain_t2_4ch_256x256.h5")
HELD_OUT = 10_000  # a seed of draws that no training has
SIGMAS = (0.01, 0.03, 0.1)  # of complex noise, relative to the peak
HEAD = ["road", "parameters", "seconds", "gain", "R(t)", "R(|t|)"]


@dataclass(frozen=True)
class Ladder:
    """What is tried for every case. levels: relative to max |A^H y|. windows: held-out images that
    denoisers are judged on.
    """

    levels: tuple[float, ...] = (0.008, 0.02, 0.05)
    weights: tuple[float, ...] = (0.1, 0.3)
    accelerations: tuple[float, ...] = (4.0, 8.0)
    windows: int = 8


QUICK = Ladder((0.02,), (0.2,), (4.0,), 2)
QUICK_TRAINING = Training(
    steps=4,
    epoch=2,
    batch=2,
    window=32,
    widths=(4, 6),
    anatomy=AnatomyOptions(heads=2, slices=1, matrix=48),
)


@torch.no_grad()
def gain(method: MeasuredDEGrad, training: Training, windows: int) -> float:
    """dB by which the road's denoiser brings noisy held-out images nearer to the truth, the mean
    over images and `SIGMAS`: with the phase that the road finds in the noisy image itself.
    """
    varied, generator, found = training.varied(), torch.Generator().manual_seed(0), []
    for index in range(windows):
        batch = collate([varied.window(HELD_OUT, 0, index)])
        clean = batch.known("reference")
        for sigma in SIGMAS:
            noise = sigma * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
            noisy = clean + noise
            set_rule(method, sigma / math.sqrt(2) / float(noisy.abs().max()), 1.0)
            f = method.fixed_point_map(batch.operator(noisy), batch.operator)
            left = torch.linalg.vector_norm(f.denoised(noisy) - clean)
            found.append(20 * float(torch.log10(torch.linalg.vector_norm(noise) / left)))
    return float(np.mean(found))


@torch.no_grad()
def judged(case: Case, method: MeasuredDEGrad, ladder: Ladder) -> dict[str, float]:
    """The best of the ladder for this case, what the denoiser does to the truth there, and how many
    of all solves converged.
    """
    batch = case.batch
    y, A, t = batch.kspace, batch.operator, batch.known("reference")
    best: dict[str, float] = {"PSNR": -math.inf}
    converged = []
    for level in ladder.levels:
        for weight in ladder.weights:
            set_rule(method, level, weight)
            solution = method.solve(y, A)
            converged.append(bool(solution.converged))
            score = psnr(solution.value, t)
            if score > best["PSNR"]:
                steps = float(solution.evaluations)
                best = {"PSNR": score, "level": level, "weight": weight, "evaluations": steps}
    set_rule(method, best["level"], best["weight"])
    f, size = method.fixed_point_map(y, A), t.abs()
    told = best["level"] * f.projection.abs().amax((-2, -1), keepdim=True)
    of_modulus = at_level(method.denoiser, told)(size.to(t.dtype))
    best["R(t)"] = share(f.denoised(t) - t, t)
    best["R(|t|)"] = share(of_modulus - size, t)
    return best | {"converged": float(np.mean(converged))}


def share(change: torch.Tensor, image: torch.Tensor) -> float:
    """||change|| / ||image||."""
    return float(torch.linalg.vector_norm(change) / torch.linalg.vector_norm(image))


def compare(
    roads: Sequence[str],
    training: Training,
    ladder: Ladder,
    scans: Sequence[Slice],
    folder: Path | None,
) -> Iterator[Row]:
    """A row for every road's network, then one for every case and road, grouped by the road."""
    methods = {}
    for name in roads:
        denoiser, seconds = learned(ROADS[name], training, folder)
        methods[name] = equilibrium(ROADS[name], denoiser)
        count = sum(parameter.numel() for parameter in denoiser.parameters())
        values = {"parameters": count, "seconds": seconds}
        values["gain"] = gain(methods[name], training, ladder.windows)
        yield Row(name, f"{name}, network", values)
    for scan in scans:
        for acceleration in ladder.accelerations:
            case = Case(scan, acceleration)
            tv = at_best(case, "tv")["psnr"]
            noise = own_noise(case.slice, case.batch)
            yield Row("tv", f"{case.name}, tv", {"PSNR": tv, "|noise| / |t|": noise})
            for name, method in methods.items():
                found = judged(case, method, ladder)
                yield Row(name, f"{case.name}, {name}", found | {"over tv": found["PSNR"] - tv})


def summary(rows: Sequence[Row], accelerations: Sequence[float]) -> str:
    """A line for each road: what its network is, and means over scans."""
    head = [f"{acceleration:g}x: PSNR (over tv)" for acceleration in accelerations]
    lines = [[*HEAD, *head, "converged"]]
    for name in dict.fromkeys(row.group for row in rows if row.group != "tv"):
        network, *cases = [row for row in rows if row.group == name]
        first = f"{network.values['parameters']:.0f}", f"{network.values['seconds']:.0f}"
        line = [name, *first, f"{network.values['gain']:.2f}"]
        line += [mean(cases, key, ".3f") for key in ("R(t)", "R(|t|)")]
        for acceleration in accelerations:
            chosen = [row for row in cases if f" {acceleration:g}x, " in row.name]
            line.append(f"{mean(chosen, 'PSNR', '.2f')} ({mean(chosen, 'over tv', '+.2f')})")
        lines.append([*line, mean(cases, "converged", ".0%")])
    return table(lines)


def mean(rows: Sequence[Row], key: str, form: str) -> str:
    """That of one value, as text."""
    return format(np.mean([row.values[key] for row in rows]), form) if rows else "-"


def main() -> None:
    """Trains and judges every road, or those of --road."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--road", nargs="+", choices=ROADS, default=list(ROADS), metavar="ROAD")
    parser.add_argument("--steps", type=int, default=600, help="of each network; a multiple of 50")
    parser.add_argument("--batch", type=int, default=8, help="windows in a step")
    parser.add_argument("--rate", type=float, default=3e-3, help="of learning, at its highest")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    parser.add_argument("--anatomy", nargs="+", default=[], metavar="FILE.nii.gz")
    parser.add_argument("--scans", nargs="+", default=list(SCANS), metavar="FILE.h5")
    parser.add_argument("--folder", type=Path, help="of runs (default: in the cache folder)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="tiny: the figures mean nothing")
    arguments = parser.parse_args()
    if arguments.steps < 50 or arguments.steps % 50:
        parser.error(f"--steps: {arguments.steps} given, a multiple of 50 needed")
    torch.set_num_threads(arguments.threads)
    training = Training(
        steps=arguments.steps,
        batch=arguments.batch,
        rate=arguments.rate,
        precision=arguments.precision,
        anatomy=AnatomyOptions(files=tuple(arguments.anatomy)),
    )
    if arguments.quick:
        training = replace(QUICK_TRAINING, precision=arguments.precision)
    named = os.environ.get("DEQLAB_REAL_DATA")
    scans = [
        scan
        for scan in (fully_sampled(Path(named)) if named else ())
        if scan.path.name in arguments.scans
    ]
    if not scans:
        print("   no measured scans (DEQLAB_REAL_DATA, --scans): the denoisers alone are judged")
    ladder = QUICK if arguments.quick else Ladder()
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(temporary) if arguments.quick else cache_folder() / "phase-roads"
        rows = []
        for row in compare(arguments.road, training, ladder, scans, arguments.folder or kept):
            rows.append(row)
            shown = ", ".join(f"{key} {value:.4g}" for key, value in row.values.items())
            print(f"{row.name}: {shown}", flush=True)
    print(f"\n{summary(rows, ladder.accelerations)}")
    print(
        "   seconds: of training; joint and reference share one. gain: dB of held-out noisy images,"
        " sigma 0.01 to 0.1.\n   R(t): ||R(t) - t|| / ||t|| at the road's own phase, R(|t|): of the"
        " modulus alone, at the level that was best.\n   PSNR: in dB inside the head, at the best"
        " level and weight of each case; converged: share of all solves, to 3e-4 within 100."
    )


if __name__ == "__main__":
    main()
