"""From a k-space file of any format to an image file: the use of a trained model on one's own
data.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    slices, coil_maps, whiten, coils, told: as in SliceDataset. attributes: texts to store with the
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
    told: Mapping[str, Any] = field(default_factory=dict)


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
    name = request.attributes.get("model", type(model).__name__)
    (result,) = side_by_side(request, {name: model}, budget, device, progress).values()
    return result


def side_by_side(
    request: Request,
    models: Mapping[str, Reconstructor],
    budget: Budget = Budget(),
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> dict[str, Reconstruction]:
    """By name, what each of `models` makes of the same samples and coil maps, written together into
    the files of `request`; all else as in `reconstruct_file`. InputError where a format holds the
    images of one model and there are several.
    """
    for model in models.values():
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
        told=request.told,
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
        **({"emulated": volume.emulated} if volume.emulated else {}),
        **request.attributes,
    }
    results = {
        name: Reconstruction(
            np.zeros((len(chosen), *volume.recon_shape), np.float32),
            chosen,
            sampled,
            attributes=attributes if len(models) == 1 else attributes | {"model": name},
            voxel=volume.voxel,
        )
        for name in models
    }
    shown = {at for kind in kinds for at in kind.shown(len(chosen))}
    placed, maps = {name: model.to(device) for name, model in models.items()}, []
    empty: list[int] = []
    with ExitStack() as files:
        # The last to be opened is complete first: a picture that fails costs no images.
        for path in reversed(destinations):
            files.enter_context(written(path, results))
        for position, _ in enumerate(
            tqdm(chosen, desc=source.name, unit="slice", disable=not progress)
        ):
            sample = checked(dataset[position], source)
            maps.append(sample.coil_maps_by)
            if not sample.kspace.any():
                empty.append(chosen[position])
            batch = collate([sample]).to(device)
            first = None
            if position in shown:
                first = magnitude_of(ZeroFilled()(batch.kspace, batch.operator)[0], sample, source)
            for name, model in placed.items():
                result = results[name]
                note(sample, result)
                if first is not None:
                    result.zero_filled[position] = first
                image = solve_slice(model, batch, budget, result)
                result.images[position] = magnitude_of(image[0], sample, source)
        if empty:
            warn_of_empty(empty, len(chosen), source)
        for name, result in results.items():
            warn_of_unsettled(result, source, "" if len(models) == 1 else f" of {name}")
            result.preparation = preparation_told(volume, maps)
    return results


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


def note(sample: Sample, result: Reconstruction) -> None:
    """What is known of a slice before its reconstruction is added to `result`: how well its maps
    fit, and its noise where it is on the grid.
    """
    share = sample.maps_explain
    result.explained.append(math.nan if share is None else share)
    if isinstance(sample.operator, CartesianOperator):
        level = noise_level(sample.kspace[None], sample.operator.mask)
        result.noise.append(float(level))


@contextmanager
def written(destination: Path, results: Mapping[str, Reconstruction]) -> Iterator[None]:
    """`destination` holds what the one of `results`, or all side by side, have become when the
    block ends well; its space on the disk is taken before.
    """
    kind = written_as(destination)
    several = len(results) > 1
    (first, *_) = results.values()
    with atomic_path(destination) as temporary:
        room = kind.room_of_several(results) if several else kind.room(first)
        write_durably(temporary, bytes(room))
        yield
        content = kind.side_by_side(results) if several else kind.content(first)
        write_durably(temporary, content)


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


def warn_of_empty(empty: list[int], count: int, path: Path) -> None:
    """Warns of the slices without any signal, of `count`: their images are zero too."""
    warnings.warn(
        f"{path}: {len(empty)} of {count} slices hold only zeros (first: slice {empty[0]}), and so"
        " do their images",
        DeqlabWarning,
        stacklevel=3,
    )


def warn_of_unsettled(result: Reconstruction, path: Path, whose: str = "") -> None:
    """Warns of the slices whose solver did not converge. whose: " of " and a model's name, where
    there are several.
    """
    unsettled = [
        index
        for index, settled in zip(result.slices, result.converged, strict=False)
        if not settled
    ]
    if unsettled:
        warnings.warn(
            f"{path}: {len(unsettled)} of {len(result.slices)} slices{whose} did not converge "
            f"(first: slice {unsettled[0]}); their images are no equilibria, try more evaluations",
            DeqlabWarning,
            stacklevel=3,
        )
