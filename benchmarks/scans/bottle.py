"""Does a model leave ghosts about a thing that is no head? A raw water bottle of 16 coils."""

import contextlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from deqlab.core.errors import InputError
from deqlab.evaluation.on_scan import INSIDE
from deqlab.signal.coils.whitening import noise_covariance, whiten
from scans.cases import Case, Effort, Row, Slice
from scans.judging import Models, at_best, psnr, scaled, settled

TITLE = "water bottle, 16 raw coils, 4x: ghosts in its air (0.03 at most wanted) and PSNR beside tv"
NEEDS_SCANS = True
MASKS = 5
NOTES = (
    "Coils are whitened by the noise of k-space's corners, for all methods. ghost: the largest"
    " difference from the fully sampled image in the air, averaged over 3x3 pixels so that noise"
    " hardly counts, over the median of the object. nothing in the air: what an image has that is"
    " right in the object and zero elsewhere, and so how much of a ghost may be the reference's own"
    " noise and ringing. PSNR as above.",
)
FILE = "bottle_pulseq_16ch.dat"
ACCELERATION = 4.0
CALIBRATIONS = (None, 16)
CORNERS = 0.75  # from there to the end of both half axes there is hardly any signal
SMOOTH = 3  # pixels over which a ghost is averaged
RIM = 4  # pixels about the object that are no air yet, for they hold its edge and its ringing


def read_twix(path: Path) -> Tensor:
    """k-space of the last measurement of a Siemens file, complex64 (coil, y, x), lines by `cLin`.

    InputError where twixtools, which reads it, is not installed.
    """
    if importlib.util.find_spec("twixtools") is None:
        raise InputError(
            f"{path}: twixtools is needed to read it, which is not installed (pip install -e"
            " '.[bench]')"
        )
    import twixtools

    with contextlib.redirect_stdout(io.StringIO()):  # its remarks on headers that are not needed
        measurement = twixtools.read_twix(
            str(path), parse_prot=False, parse_pmu=False, parse_geometry=False, verbose=False
        )[-1]
    lines = {block.cLin: block.data for block in measurement["mdb"] if block.is_image_scan()}
    coils, samples = next(iter(lines.values())).shape
    kspace = torch.zeros(coils, samples, max(lines) + 1, dtype=torch.complex64)
    for line, data in lines.items():
        kspace[..., line] = torch.from_numpy(data.copy())  # it is read-only
    return kspace


def whitened(kspace: Tensor) -> Tensor:
    """`kspace` (coil, y, x) with the noise of its corners white."""
    along_y, along_x = (
        (torch.arange(length) - length // 2).abs() >= CORNERS * (length // 2)
        for length in kspace.shape[-2:]
    )
    return whiten(kspace, noise_covariance(kspace[:, along_y[:, None] & along_x]))


def ghost(image: Tensor, reference: Tensor) -> float:
    """The largest |image - reference| in the air, after the scale that fits best and averaged over
    3x3 pixels, as a share of the reference's median in the object.

    image, reference: complex (1, y, x). The complex difference is averaged: white noise falls to a
    third, a ghost, which is as smooth as the object, stays. Object: where the reference exceeds a
    tenth of its maximum; air: what is more than 4 pixels away from any of it.
    """
    found = reference.abs() > INSIDE * reference.abs().max()
    near = max_pool2d(found.float(), 2 * RIM + 1, 1, RIM) > 0
    difference = scaled(image, reference) - reference
    parts = torch.stack((difference.real, difference.imag))
    smooth = avg_pool2d(parts, SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
    sizes = torch.linalg.vector_norm(smooth, dim=0)
    return float(sizes[~near].max() / reference.abs()[found].median())


def rows(models: Models, folder: Path, effort: Effort) -> Iterator[Row]:
    """A row for both numbers of calibration lines and every mask."""
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{path}: missing; the bottle cannot be asked about without it")
    scan = Slice.of(path, whitened(read_twix(path)))
    for lines in CALIBRATIONS:
        for seed in range(effort.masks or MASKS):
            case = Case(scan, ACCELERATION, lines, seed)
            group = f"{ACCELERATION:g}x, {lines or 'the usual'} calibration lines"
            yield Row(group, case.name, _found(case, models))


def _found(case: Case, models: Models) -> dict[str, float]:
    y, A, reference = case.batch.kspace, case.batch.operator, case.batch.known("reference")
    inside = reference.abs() > INSIDE * reference.abs().max()
    tv = at_best(case, "tv", (psnr, ghost))
    values = {
        "nothing in the air": ghost(reference * inside, reference),
        "zero-filled ghost": ghost(A.H(y), reference),
        "tv ghost": tv["ghost"],
        "tv PSNR": tv["psnr"],
    }
    for name, model in models.items():
        _, rest = settled(model, y, A)
        values |= {
            f"{name} ghost": ghost(rest.value, reference),
            f"{name} PSNR over tv": psnr(rest.value, reference) - tv["psnr"],
        }
    return values
