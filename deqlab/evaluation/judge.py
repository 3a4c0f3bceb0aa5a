"""Every method judged alike: the same slices, masks and metrics, one row per method, volume and
acceleration; and what they come to, each beside the rival on the same volumes.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.dataset import SliceDataset
from deqlab.data.prepare.mixed_coils import preparation_told
from deqlab.data.sample import Batch, collate
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.denoiser_error import denoiser_error, noise_share
from deqlab.evaluation.paired import MeanDifference, mean_difference
from deqlab.metrics.protocol import PhaseMetric
from deqlab.metrics.registry import METRICS
from deqlab.metrics.usual import USUAL
from deqlab.recon.base import Budget, Reconstructor
from deqlab.signal.sampling.masks import mask_rules
from deqlab.signal.transforms.crop import center_crop

# Fields of a row and of a summary, and what a table calls them.
AT_THE_TRUTH = {"denoiser_error": "|R(t)-t|/|t|", "noise_share": "|noise|/|t|"}
WIDE = max(map(len, AT_THE_TRUTH.values()))
OVER_RIVAL = "PSNR over the rival"


@dataclass(frozen=True)
class Row:
    """One volume, one acceleration, one method.

    scores: by metric, over the volume; the data range is its target's maximum. evaluations,
    converged: per slice, None for a method that does not iterate. residual: the largest relative
    residual of the volume's slices. prepared: what was done to the coils and where their maps come
    from, in words.
    """

    method: str
    file: str
    contrast: str
    acceleration: float
    scores: dict[str, float]
    seconds: float
    evaluations: list[int] | None = None
    converged: list[bool] | None = None
    residual: float | None = None
    prepared: str = ""
    denoiser_error: float | None = None
    noise_share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, the scores beside the rest."""
        plain = asdict(self)
        return {**plain.pop("scores"), **plain}


@torch.no_grad()
def evaluate(
    methods: Mapping[str, Reconstructor],
    files: Sequence[Path],
    conditions: Conditions = Conditions(),
    *,
    baselines: Mapping[float, Mapping[str, Reconstructor]] = {},
    budget: Budget = Budget(),
    metrics: Sequence[str] = USUAL,
    device: str | torch.device = "cpu",
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """A Row for every volume, acceleration and method; all methods see the same k-space. A file off
    the grid is judged once, at the acceleration of its own trajectory.

    methods: by label. baselines: more of them, tuned for one acceleration each; the budget is not
    theirs. budget: of those that iterate; InputError before any work where one of them does not and
    something is asked, or where a label is given to two methods. metrics: names; InputError for one
    that there is not. progress: called with a label before each piece of work.
    """
    parts = ["target", *(["reference"] if any(map(of_phase, metrics)) else [])]
    for method in methods.values():
        method.check(budget)
    for label in {label for found in baselines.values() for label in found}.intersection(methods):
        raise InputError(f"{label!r} names a method and a tuned one alike; another name needed")
    rows = []
    for number, acceleration in enumerate(conditions.acceleration):
        tuned = baselines.get(acceleration, {})
        judged = {label: (method, budget) for label, method in methods.items()}
        judged |= {label: (method, Budget()) for label, method in tuned.items()}
        for path in files:
            dataset = slices_of(path, conditions, acceleration)
            for part in parts:
                dataset.require(part, "evaluation")
            own = dataset.scans[0].sampling.own_acceleration
            if own is not None and number > 0:
                continue  # sampled as its file says, so judged once
            factor = acceleration if own is None else own
            samples = [dataset[index] for index in range(len(dataset))]
            told = preparation_told(dataset.volumes[0], (sample.coil_maps_by for sample in samples))
            batch = collate(samples).to(device)
            for label, (method, limits) in judged.items():
                if progress is not None:
                    progress(f"{label} {path.name} {factor:g}x")
                row = judge(label, method, batch, factor, limits, metrics)
                rows.append(replace(row, prepared=told))
    return rows


def slices_of(path: Path, conditions: Conditions, acceleration: float) -> SliceDataset:
    """The slices of a file under the conditions, at one of their accelerations."""
    return SliceDataset(
        [path],
        mask_rules([conditions.mask], [acceleration], conditions.center_fraction),
        slices=conditions.slices,
        seed=conditions.seed,
        coil_maps=conditions.coil_maps,
        whiten=conditions.whiten,
        coils=conditions.coils,
    )


@torch.no_grad()
def judge(
    label: str,
    method: Reconstructor,
    volume: Batch,
    acceleration: float,
    budget: Budget = Budget(),
    metrics: Sequence[str] = USUAL,
) -> Row:
    """The Row of one method on one volume, given as a batch of its slices."""
    begin = time.perf_counter()
    outcome = method.run(volume.kspace, volume.operator, budget)
    seconds = time.perf_counter() - begin
    magnitudes = [
        to_volume(size, volume)
        for size in (volume.known("target"), volume.magnitude(outcome.image))
    ]
    # `maximum` belongs to the whole volume also where only some of its slices are judged.
    peak = float(volume.maximum[0])
    scores = {}
    for name in metrics:
        target, image = with_phase(outcome.image, volume) if of_phase(name) else magnitudes
        scores[name] = METRICS.make(name)(target, image, peak)
    details: dict[str, Any] = {}
    if outcome.solution is not None:
        details = {
            "evaluations": outcome.solution.evaluations.tolist(),
            "converged": outcome.solution.converged.tolist(),
            "residual": float(outcome.solution.residual.max()),
        }
    error, noise = denoiser_error(method, volume), noise_share(volume)
    if error is not None:
        details["denoiser_error"] = float(error.mean())
        details["noise_share"] = None if noise is None else float(noise.mean())
    where = volume.file[0], volume.contrast[0], float(acceleration)
    return Row(label, *where, scores, seconds, **details)


def to_volume(magnitude: Tensor, volume: Batch) -> np.ndarray:
    """Magnitudes (slices, h, w) back in the file's units, float64."""
    values = magnitude.cpu().numpy().astype(np.float64)
    return values * np.asarray(volume.scale.cpu())[:, None, None]


def of_phase(metric: str) -> bool:
    """Whether a metric wants complex images; InputError for a name that is none."""
    return issubclass(METRICS[metric], PhaseMetric)


def with_phase(image: Tensor, volume: Batch) -> list[np.ndarray]:
    """Reference and image, complex128 (slices, h, w), cropped as magnitudes are, in units of the
    scale; InputError where the reference is not known.
    """
    pair = volume.known("reference"), image
    return [center_crop(z, volume.crop).cpu().numpy().astype(np.complex128) for z in pair]


def best_of(rows: Sequence[Row], methods: Collection[str]) -> dict[float, str]:
    """By acceleration, which of `methods` has the highest mean PSNR over volumes."""
    means: dict[float, dict[str, float]] = defaultdict(dict)
    for acceleration, method in dict.fromkeys((row.acceleration, row.method) for row in rows):
        if method in methods:
            values = _volumes(rows, acceleration, method).values()
            means[acceleration][method] = float(np.mean([row.scores["psnr"] for row in values]))
    return {rate: max(found, key=found.__getitem__) for rate, found in means.items()}


def summarise(rows: Sequence[Row], rivals: Mapping[float, str] = {}) -> list[dict[str, Any]]:
    """Mean and standard deviation over volumes for every method and acceleration, with the share of
    slices that converged and what denoisers do to the truth.

    rivals: by acceleration, the method that the others are compared with. Their entries name it and
    have the mean difference of PSNR on the volumes that both were judged on ("over_rival"), with
    the ends of its 95 % bootstrap interval, None where there is one volume.
    """
    keys = list(dict.fromkeys((row.acceleration, row.method) for row in rows))
    table = []
    for acceleration, method in keys:
        volumes = _volumes(rows, acceleration, method)
        group = list(volumes.values())
        entry: dict[str, Any] = {
            "acceleration": acceleration,
            "method": method,
            "volumes": len(group),
        }
        for name in group[0].scores:
            values = np.array([row.scores[name] for row in group])
            spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            entry |= {name: float(values.mean()), f"{name}_std": spread}
        rival = rivals.get(acceleration)
        if rival is not None:
            entry["rival"] = rival
            others = {} if rival == method else _volumes(rows, acceleration, rival)
            entry |= _over(volumes, others)
        flags = [flag for row in group for flag in row.converged or ()]
        if flags:
            counts = [count for row in group for count in row.evaluations or ()]
            entry |= {"converged": float(np.mean(flags)), "evaluations": float(np.median(counts))}
        for name in AT_THE_TRUTH:
            known = [value for row in group if (value := getattr(row, name)) is not None]
            entry |= {name: float(np.mean(known))} if known else {}
        entry["seconds"] = sum(row.seconds for row in group)
        table.append(entry)
    return table


def table_text(table: Sequence[dict[str, Any]]) -> str:
    """The summary as aligned text, a column for each metric, one for what is gained over a rival
    where there is one, and two where there is a denoiser.
    """
    names = [name for name in METRICS if table and name in table[0]]
    heads = "".join(f" {METRICS[name].title:>15}" for name in names)
    against = [_against(entry) for entry in table]
    across = max([0, *(len(cell) for cell in against)])
    if across:
        across = max(across, len(OVER_RIVAL))
        heads += f" {OVER_RIVAL:>{across}}"
    inside = {key: title for key, title in AT_THE_TRUTH.items() if any(key in e for e in table)}
    last = "".join(f" {title:>{WIDE}}" for title in inside.values())
    long = max([14, *(len(entry["method"]) for entry in table)])
    lines = [
        f"{'accel':>5} {'method':<{long}}{heads} {'converged':>9} {'evals':>5} {'volumes':>7}{last}"
    ]
    for entry, cell in zip(table, against, strict=True):
        share = f"{entry['converged']:.0%}" if "converged" in entry else "-"
        count = f"{entry['evaluations']:.0f}" if "evaluations" in entry else "-"
        scores = ""
        for name in names:
            digits = METRICS[name].digits
            scores += f" {entry[name]:>6.{digits}f} ± {entry[f'{name}_std']:<6.{digits}f}"
        scores += f" {cell or '-':>{across}}" if across else ""
        lines.append(
            f"{entry['acceleration']:>4g}x {entry['method']:<{long}}{scores} {share:>9} {count:>5}"
            f" {entry['volumes']:>7}"
            + "".join(f" {f'{entry[k]:.3f}' if k in entry else '-':>{WIDE}}" for k in inside)
        )
    return "\n".join(lines)


def _volumes(rows: Sequence[Row], acceleration: float, method: str) -> dict[tuple[str, int], Row]:
    """The method's rows by file name, files of one name in their order."""
    found: dict[tuple[str, int], Row] = {}
    seen: dict[str, int] = defaultdict(int)
    for row in rows:
        if (row.acceleration, row.method) == (acceleration, method):
            found[row.file, seen[row.file]] = row
            seen[row.file] += 1
    return found


def _over(own: Mapping[Any, Row], rival: Mapping[Any, Row]) -> dict[str, Any]:
    """The mean difference of PSNR on the volumes that both have; nothing where they have none."""
    both = [volume for volume in own if volume in rival]
    if not both:
        return {}
    gains = [own[volume].scores["psnr"] - rival[volume].scores["psnr"] for volume in both]
    found = mean_difference(gains)
    interval = [found.low, found.high] if len(both) > 1 else None
    return {"over_rival": found.mean, "over_rival_interval": interval}


def _against(entry: Mapping[str, Any]) -> str:
    """What stands in the column of differences: of the rival itself that it is the one."""
    if "over_rival" in entry:
        ends = entry["over_rival_interval"] or (np.nan, np.nan)
        return str(MeanDifference(entry["over_rival"], *ends))
    return "the rival" if entry.get("rival") == entry["method"] else ""
