"""How far are models above classical methods, each at its best weight for that very scan?"""

from collections.abc import Iterator
from pathlib import Path

from scans.cases import Case, Effort, Row, fully_sampled
from scans.judging import Models, judged

TITLE = "over the best of CG-SENSE, wavelets and total variation (1.5 dB at 4x and 2 at 8x wanted)"
NEEDS_SCANS = True
MASKS = 5
LINES = 16
NOTES = (
    "PSNR in dB inside the head, after the scale that fits best. Coil maps: as the"
    " shell makes them unless told otherwise. Classical methods are solved to 2e-5 or 400"
    " evaluations. at its stop: the model as it comes; later: carried on to a"
    " tenth of its tolerance or 150 evaluations more."
    " |R(t) - t| / |t| is wanted below noise / |t|, the scan's own noise from k-space's corners.",
)


def rows(models: Models, folder: Path, effort: Effort) -> Iterator[Row]:
    """A row for every scan, acceleration, number of calibration lines (the usual share, and 16
    where the mask has so many) and mask.
    """
    for scan in fully_sampled(folder):
        for acceleration in effort.accelerations:
            room = scan.shape[-1] / acceleration
            for lines in (None, LINES) if room >= LINES else (None,):
                for seed in range(effort.masks or MASKS):
                    case = Case(scan, acceleration, lines, seed)
                    yield Row(f"{acceleration:g}x", case.name, judged(case, models))
