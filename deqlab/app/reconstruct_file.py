"""From a k-space file of any format to an image file: the use of a trained model on one's own
data.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.dataset import SliceDataset, Slices
from deqlab.data.formats.protocol import GridVolume
from deqlab.data.formats.write_fastmri import hdf5_bytes
from deqlab.data.prepare.mixed_coils import preparation_told
from deqlab.data.prepare.on_grid import acquired_only
from deqlab.data.prepare.stored_maps import CoilMaps
from deqlab.data.sample import Batch, Sample, collate
from deqlab.operators.cartesian import CartesianOperator
from deqlab.recon.base import Budget, Reconstructor
from deqlab.signal.coils.air_noise import Whitener, WhiteningByAir
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.sampling.masks import MaskRule
from deqlab.signal.sampling.noise_level import noise_level

# Beyond these peaks a float32 file cannot hold the image at the input's own scale.
FLOAT32_RANGE = (1e-35, 1e35)


@dataclass(frozen=True)
class Request:
    """What is to be reconstructed, from what, and where to.

    source: a file of any known format. destination: the file to write.
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


@dataclass
class Reconstruction:
    """The magnitude images of a volume, and how each came about.

    images: float32 (slices, h, w), cropped like the target, at the input's intensity scale.
    slices: their indices in the input. mask: bool (columns,) or (rows, columns), what was sampled;
        None off the grid.
    evaluations, residual, converged: one entry per slice; all three empty for a method without a
        solver.
    explained: of each slice, the share of the calibration lines that its coil maps explain, NaN
        where that cannot be told.
    noise: of each slice, the standard deviation of its real part in k-space over max |A^H y|; empty
        off the grid. preparation: what was done to the coils and why, and where their maps come
        from, in words.
    """

    images: np.ndarray
    slices: list[int]
    mask: np.ndarray | None
    evaluations: list[int] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    explained: list[float] = field(default_factory=list)
    preparation: str = ""


def reconstruct_file(
    request: Request,
    model: Reconstructor,
    budget: Budget = Budget(),
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Reconstruction:
    """The reconstruction of `request.source`, also written to `request.destination` when it is
    complete.

    The file holds `reconstruction` (slices, h, w), as in fastMRI submissions, with the attributes
    `slices`, `evaluations`, `residual` and `converged`, one entry per slice. Its space on the disk
    is taken before the work starts, so that a full disk is told then.
    budget: of a model that iterates. progress: show a bar. Warns of slices whose solver did not
    converge. Raises InputError for input that cannot be used.
    """
    model.check(budget)
    source, destination = Path(request.source), Path(request.destination)
    dataset = SliceDataset(
        source,
        request.mask,
        request.slices,
        coil_maps=request.coil_maps,
        whiten=request.whiten,
        coils=request.coils,
    )
    refuse_same_file(source, destination)
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
    result = Reconstruction(
        np.zeros((len(chosen), *volume.recon_shape), np.float32), chosen, sampled
    )
    attributes = {
        "source": source.name,
        "acquisition": volume.contrast,
        "patient_id": volume.patient_id,
        **request.attributes,
    }
    model, maps = model.to(device), []
    with reserved(destination, result, attributes) as write:
        for position, _ in enumerate(
            tqdm(chosen, desc=source.name, unit="slice", disable=not progress)
        ):
            sample = checked(dataset[position], source)
            note_noise(sample, result)
            maps.append(sample.coil_maps_by)
            share = sample.maps_explain
            result.explained.append(math.nan if share is None else share)
            image = solve_slice(model, collate([sample]).to(device), budget, result)
            result.images[position] = magnitude_of(image[0], sample, source)
        warn_of_unsettled(result, source)
        result.preparation = preparation_told(volume, maps)
        write(result)
    return result


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
def reserved(
    destination: Path, blank: Reconstruction, attributes: dict[str, str]
) -> Iterator[Callable[[Reconstruction], None]]:
    """What writes a result of the size of `blank` to `destination`, whose space on the disk is
    taken before the block runs.
    """
    with atomic_path(destination) as temporary:
        write_durably(temporary, _content(blank, attributes))
        yield lambda result: write_durably(temporary, _content(result, attributes))


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


def _content(result: Reconstruction, attributes: dict[str, str]) -> bytes:
    """The output file of `result`."""
    per_slice: dict[str, np.ndarray] = {"slices": np.asarray(result.slices)}
    if result.evaluations:
        per_slice["evaluations"] = np.asarray(result.evaluations)
        per_slice["residual"] = np.asarray(result.residual)
        per_slice["converged"] = np.asarray(result.converged)
    if result.noise:
        per_slice["noise"] = np.asarray(result.noise)
    if np.isfinite(result.explained).any():
        per_slice["coil_maps_explain"] = np.asarray(result.explained)
    sampled = {} if result.mask is None else {"mask": result.mask}
    told = {**attributes, "preparation": result.preparation}
    return hdf5_bytes(
        {"reconstruction": result.images, **sampled}, told, {"reconstruction": per_slice}
    )


def prepared(result: Reconstruction) -> str:
    """How the data were prepared, on one line."""
    noise = [f"noise {np.median(result.noise):.2%} of max |A^H y|"] if result.noise else []
    shares = [share for share in result.explained if math.isfinite(share)]
    explained = [f"coil maps explain {min(shares):.1%} of the centre"] if shares else []
    return "; ".join([*noise, result.preparation, *explained])


def summary(result: Reconstruction) -> str:
    """What a user wants to know of a reconstruction, on one line."""
    slices, height, width = result.images.shape
    plural = "" if slices == 1 else "s"
    text = f"{slices} slice{plural} of {height}x{width}"
    text += "" if result.mask is None else f", {1 / result.mask.mean():.1f}x undersampled"
    if result.evaluations:
        worst = max((r for r in result.residual if math.isfinite(r)), default=math.nan)
        median = np.median(result.evaluations)
        text += (
            f"; {sum(result.converged)} of {slices} converged, {median:g} evaluations at the median"
        )
        text += f", largest residual {worst:.1e}"
    return text
