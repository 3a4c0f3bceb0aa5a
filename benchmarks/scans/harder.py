"""What is left of a model's lead where a scan is smaller, coarser, noisier or seen by few coils?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from deqlab.signal.transforms.crop import crop_readout
from deqlab.signal.transforms.fourier import fft2c, ifft2c
from scans.cases import Case, Effort, Row, Slice, fully_sampled
from scans.judging import Models, at_best, psnr, settled

TITLE = "harder scans: dB over total variation at its best weight (never below 0 wanted)"
NEEDS_SCANS = True
MASKS = 1
NOTES = (
    "96 rows: the centre of the field of view along the readout. half resolution: coil images"
    " averaged over 2x2 pixels. n coils: the first n of the"
    " file. 1 % noise: of the brightest pixel, added to k-space; the reference stays without.",
)
ROWS, COILS, NOISE = 96, (1, 2, 4), 0.01


@dataclass(frozen=True)
class Harder:
    """A change of fully sampled k-space (coil, y, x), and noise that is added to it."""

    name: str
    change: Callable[[Tensor], Tensor]
    noise: float = 0.0


def coarser(kspace: Tensor) -> Tensor:
    """The k-space of the images averaged over blocks of 2x2 pixels; an odd last row or column is
    left out.
    """
    images = ifft2c(kspace)
    rows, columns = (length // 2 for length in images.shape[-2:])
    blocks = images[..., : 2 * rows, : 2 * columns].unflatten(-1, (columns, 2))
    return fft2c(blocks.unflatten(-3, (rows, 2)).mean((-3, -1)))


def changes(scan: Slice) -> Iterator[Harder]:
    """All that can be done to a scan."""
    if scan.shape[-2] > ROWS:
        yield Harder(f"{ROWS} rows", lambda kspace: crop_readout(kspace, ROWS))
    yield Harder("half resolution", coarser)
    for count in COILS:
        if count < scan.shape[1]:
            name = f"{count} coil" if count == 1 else f"{count} coils"
            yield Harder(name, lambda kspace, count=count: kspace[:count])
    yield Harder(f"{NOISE:.0%} noise", lambda kspace: kspace, NOISE)


def rows(models: Models, folder: Path, effort: Effort) -> Iterator[Row]:
    """A row for every scan, change, acceleration and mask."""
    for scan in fully_sampled(folder):
        for harder in changes(scan):
            changed = scan.changed(harder.change)
            for acceleration in effort.accelerations:
                for seed in range(effort.masks or MASKS):
                    case = Case(changed, acceleration, None, seed, harder.noise)
                    name = f"{case.name}, {harder.name}"
                    yield Row(f"{acceleration:g}x", name, _margins(case, models))


def _margins(case: Case, models: Models) -> dict[str, float]:
    batch = case.batch
    row = {"tv": at_best(case, "tv")["psnr"]}
    for name, model in models.items():
        stopped, rest = settled(model, batch.kspace, batch.operator)
        for when, solution in (("at its stop", stopped), ("later", rest)):
            own = psnr(solution.value, batch.known("reference"))
            row[f"{name} {when} over tv"] = own - row["tv"]
    return row
