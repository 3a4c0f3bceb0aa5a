"""Does it matter which way up a scan lies?

A scan is turned in two ways. *Measurement turned*: object, coil maps, mask and samples turn
together, so the axis that is undersampled turns with the object. The problem is then the same
problem in other coordinates: a method that does not know up from down has the same PSNR, and every
change is the model's own. *Object turned*: the fully sampled k-space turns, and the same rule
undersamples its columns as ever, with coil maps from the new calibration lines. That is what
happens to a head that lies sideways in the scanner, and it is another problem: other lines of the
object are missing, at a quarter turn along its other axis. There total variation at its best weight
says how much of the change is the problem's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from deqlab.data import Batch
from deqlab.data.truth import KnownTruth
from deqlab.operators import CartesianOperator
from scans.cases import Case, Effort, Row, fully_sampled
from scans.judging import Models, at_best, psnr, settled

TITLE = "turned and mirrored scans: change of PSNR in dB (0.3 at most wanted)"
NEEDS_SCANS = True
MASKS = 1
NOTES = (
    "Of the equilibrium, against the scan as it lies. measurement turned: mask and coil maps turn"
    " along, so a model without a sense of up and down changes by 0. object turned: columns are"
    " undersampled as ever, so the problem is another one; tv at its best weight says by how much.",
)


@dataclass(frozen=True)
class Turn:
    """A symmetry of the pixel grid: first the axes in `mirrored`, then the transpose."""

    name: str
    mirrored: tuple[int, ...] = ()
    transposed: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """(..., y, x) turned about its centre sample: image and k-space alike, for a symmetry of
        the grid commutes with the centred Fourier transform.
        """
        for axis in self.mirrored:
            x = mirrored(x, axis)
        return (x.mT if self.transposed else x).contiguous()


TURNS = (
    Turn("quarter turn", (-1,), True),
    Turn("half turn", (-2, -1)),
    Turn("three quarter turns", (-2,), True),
    Turn("upside down", (-2,)),
    Turn("left to right", (-1,)),
    Turn("transposed", (), True),
)


def mirrored(x: Tensor, axis: int) -> Tensor:
    """Sample n of the axis moved to 2 c - n with the centre c = N // 2, modulo N.

    A bare flip mirrors an even axis about the line between two samples instead, half a pixel off,
    and then k-space would need a phase.
    """
    flipped = x.flip(axis)
    return flipped if x.shape[axis] % 2 else flipped.roll(1, axis)


def turned(batch: Batch, turn: Turn) -> Batch:
    """The same measurement in turned coordinates: A' = turn A turn^-1."""
    A = batch.operator
    shape = batch.kspace.shape[-2:]
    operator = CartesianOperator(turn(A.mask.expand(*A.mask.shape[:2], *shape)), turn(A.coil_maps))
    truth = KnownTruth(reference=turn(batch.known("reference")))
    return replace(batch, kspace=turn(batch.kspace), operator=operator, truth=truth)


def rows(models: Models, folder: Path, effort: Effort) -> Iterator[Row]:
    """A row for every scan, acceleration, mask and turn."""
    for scan in fully_sampled(folder):
        for acceleration in effort.accelerations:
            for seed in range(effort.masks or MASKS):
                case = Case(scan, acceleration, None, seed)
                straight = {name: _at_rest(model, case.batch) for name, model in models.items()}
                for turn in TURNS:
                    values = _changes(case, turn, models, straight)
                    yield Row(f"{acceleration:g}x", f"{case.name}, {turn.name}", values)


def _changes(
    case: Case, turn: Turn, models: Models, straight: dict[str, float]
) -> dict[str, float]:
    along, anew = turned(case.batch, turn), case.of(case.slice.changed(turn))
    values = {"tv, object turned": at_best(anew, "tv")["psnr"] - at_best(case, "tv")["psnr"]}
    for name, model in models.items():
        for way, batch in (("measurement", along), ("object", anew.batch)):
            values[f"{name}, {way} turned"] = _at_rest(model, batch) - straight[name]
    return values


def _at_rest(model, batch: Batch) -> float:
    _, rest = settled(model, batch.kspace, batch.operator)
    return psnr(rest.value, batch.known("reference"))
