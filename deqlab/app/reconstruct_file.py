"""From a k-space file of any format to an image file: the use of a trained model on one's own
data.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deqlab.app.image_files.registry import picture_at, written_as
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.dataset import SliceDataset, Slices
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.prepare.mixed_coils import preparation_told
from deqlab.data.prepare.on_grid import acquired_only
from deqlab.data.prepare.stored_maps import CoilMaps
from deqlab.data.sample import Batch, Sample, collate
from deqlab.operators.cartesian import CartesianOperator
from deqlab.recon.base import Budget, Reconstructor
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.signal.coils.air_noise import Whitener, WhiteningByAir
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.sampling.masks import MaskRule
from deqlab.signal.sampling.noise_level import noise_level

# Beyond these peaks a float32 file cannot hold the image at the input's own scale.
FLOAT32_RANGE = (1e-35, 1e35)


@dataclass(frozen=True)
class Request:
    """What is to be reconstructed, from what, and where to.

    source: a file of any known format. destination: the file to write, in the format that its
        ending names. quick_look: a picture to be written beside it.
    mask: the rule that undersamples a fully sampled source (`deqlab.data.sampling.Seeded` for one
        with a seed of its own); None for a source that is undersampled already.
    slices, coil_maps, whiten, coils: as in SliceDataset. attributes: texts to store with the
        images, such as the model's name.
    """

    source: Path
    destination: Path
    mask: MaskRule | None = None
    slices: Slices = "all"
    coil_maps: CoilMaps = Auto()
    whiten: Whitener = WhiteningByAir()
    coils: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    quick_look: Path | None = None


def reconstruct_file(
    request: Request,
    model: Reconstructor,
    budget: Budget = Budget(),
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Reconstruction:
    """The reconstruction of `request.source`, also written to `request.destination` when it is
    complete, in the format that its ending names (`deqlab/app/image_files`), and after that to
    `request.quick_look`.

    The space of both on the disk is taken before the work starts, so that a full disk is told then.
    budget: of a model that iterates. progress: show a bar. Warns of slices whose solver did not
    converge. Raises InputError for input that cannot be used.
    """
    model.check(budget)
    source = Path(request.source)
    destinations = destinations_of(request)
    kinds = [written_as(path) for path in destinations]
    dataset = SliceDataset(
        source,
        request.mask,
        request.slices,
        coil_maps=request.coil_maps,
        whiten=request.whiten,
        coils=request.coils,
    )
    for path in destinations:
        refuse_same_file(source, path)
    (scan,) = dataset.scans
    volume, sampling = scan.volume, scan.sampling
    if request.mask is not None and volume.sampled_by == "trajectory":
        raise InputError(
            f"{source}: has a trajectory, which says what was sampled; leave the mask out"
        )
    sampling.require_undersampling()
    mask = sampling.mask_of_volume()
    chosen = [index for _, index in dataset.items]
    sampled: np.ndarray | None = None
    if mask is not None and isinstance(volume, GridVolume):
        sampled = acquired_only(mask, volume).numpy()
    attributes = {
        "source": source.name,
        "acquisition": volume.contrast,
        "patient_id": volume.patient_id,
        **request.attributes,
    }
    result = Reconstruction(
        np.zeros((len(chosen), *volume.recon_shape), np.float32),
        chosen,
        sampled,
        attributes=attributes,
        voxel=volume.voxel,
    )
    shown = {at for kind in kinds for at in kind.shown(len(chosen))}
    model, maps = model.to(device), []
    with ExitStack() as files:
        # The last to be opened is complete first: a picture that fails costs no images.
        for path in reversed(destinations):
            files.enter_context(written(path, result))
        for position, _ in enumerate(
            tqdm(chosen, desc=source.name, unit="slice", disable=not progress)
        ):
            sample = checked(dataset[position], source)
            note_noise(sample, result)
            maps.append(sample.coil_maps_by)
            share = sample.maps_explain
            result.explained.append(math.nan if share is None else share)
            batch = collate([sample]).to(device)
            if position in shown:
                first = ZeroFilled()(batch.kspace, batch.operator)
                result.zero_filled[position] = magnitude_of(first[0], sample, source)
            image = solve_slice(model, batch, budget, result)
            result.images[position] = magnitude_of(image[0], sample, source)
        warn_of_unsettled(result, source)
        result.preparation = preparation_told(volume, maps)
    return result


def destinations_of(request: Request) -> list[Path]:
    """The files to be written; InputError where an ending names no format, or one file is both."""
    destination = Path(request.destination)
    written_as(destination)
    if request.quick_look is None:
        return [destination]
    picture = picture_at(request.quick_look)
    if picture.resolve() == destination.resolve():
        raise InputError(f"{picture}: is both the output and its quick look; name two files")
    return [destination, picture]


def checked(sample: Sample, path: Path) -> Sample:
    """The sample itself; InputError where no float32 file can hold its image."""
    if not FLOAT32_RANGE[0] < sample.scale < FLOAT32_RANGE[1]:
        raise InputError(
            f"{path}: slice {sample.slice} has the peak {sample.scale:.3g}, "
            "which float32 images cannot hold; rescale the k-space"
        )
    return sample


def note_noise(sample: Sample, result: Reconstruction) -> None:
    """The noise of a slice on the grid is added to `result`."""
    if isinstance(sample.operator, CartesianOperator):
        level = noise_level(sample.kspace[None], sample.operator.mask)
        result.noise.append(float(level))


@contextmanager
def written(destination: Path, result: Reconstruction) -> Iterator[None]:
    """`destination` holds what `result` has become when the block ends well; its space on the disk
    is taken before.
    """
    kind = written_as(destination)
    with atomic_path(destination) as temporary:
        write_durably(temporary, bytes(kind.room(result)))
        yield
        write_durably(temporary, kind.content(result))


def refuse_same_file(source: Path, destination: Path) -> None:
    """Raises InputError where the output would replace the input."""
    if destination.exists() and destination.samefile(source):
        raise InputError(f"{destination}: is the input itself; name another file for the output")


@torch.no_grad()
def solve_slice(
    model: Reconstructor, sample: Batch, budget: Budget, result: Reconstruction
) -> torch.Tensor:
    """The image of a batch of one; how the solver fared is added to `result`."""
    outcome = model.run(sample.kspace, sample.operator, budget)
    if outcome.solution is not None:
        result.evaluations.append(int(outcome.solution.evaluations[0]))
        result.residual.append(float(outcome.solution.residual[0]))
        result.converged.append(bool(outcome.solution.converged[0]))
    return outcome.image


def magnitude_of(image: torch.Tensor, sample: Sample, path: Path) -> np.ndarray:
    """|image| in the target's field of view at the input's own scale, float64 (h, w); InputError
    where the model gave something else.
    """
    magnitude = sample.magnitude(image.cpu()).double().numpy() * sample.scale
    if not np.isfinite(magnitude).all():
        raise InputError(
            f"{path}: slice {sample.slice}: the model gave no finite image; its weights do not suit"
            " this input"
        )
    return magnitude


def warn_of_unsettled(result: Reconstruction, path: Path) -> None:
    """Warns of the slices whose solver did not converge."""
    unsettled = [
        index
        for index, settled in zip(result.slices, result.converged, strict=False)
        if not settled
    ]
    if unsettled:
        warnings.warn(
            f"{path}: {len(unsettled)} of {len(result.slices)} slices did not converge "
            f"(first: slice {unsettled[0]}); their images are no equilibria, try more evaluations",
            DeqlabWarning,
            stacklevel=3,
        )
