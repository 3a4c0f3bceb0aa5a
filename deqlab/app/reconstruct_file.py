"""From a k-space file to an image file: the use of a trained model on one's own data."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.dataset import MaskRule, Slices, choose_slices, open_volume
from deqlab.data.formats.fastmri import Volume
from deqlab.data.formats.write_fastmri import hdf5_bytes
from deqlab.data.prepare.on_grid import acquired_only, crop_magnitude, prepare
from deqlab.data.prepare.stored_maps import CoilMaps
from deqlab.data.sample import collate
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Reconstructor
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.sampling.masks import seed_from_name

# Beyond these peaks a float32 file cannot hold the image at the input's own scale.
FLOAT32_RANGE = (1e-35, 1e35)
# Share of positions within the acquired part that may be zero in every coil of a fully sampled
# file.
ZEROS_ALLOWED = 0.05


@dataclass(frozen=True)
class Undersampling:
    """How a fully sampled input is undersampled: a mask rule and its seed.

    seed: None for the one that the file's name gives.
    """

    rule: MaskRule
    seed: int | None = None


@dataclass
class Reconstruction:
    """The magnitude images of a volume, and how each came about.

    images: float32 (slices, h, w), cropped like the target, at the input's intensity scale.
    slices: their indices in the input. mask: bool (columns,) or (rows, columns), what was sampled;
        None off the grid.
    evaluations, residual, converged: one entry per slice; all three empty for a method without a
        solver.
    """

    images: np.ndarray
    slices: list[int]
    mask: np.ndarray | None
    evaluations: list[int] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    converged: list[bool] = field(default_factory=list)


def reconstruct_file(
    source: str | Path,
    destination: str | Path,
    model: Reconstructor,
    undersampling: Undersampling | None = None,
    slices: Slices = "all",
    device: torch.device | str = "cpu",
    attributes: dict[str, str] | None = None,
    progress: bool = False,
    coil_maps: CoilMaps = LowResolution(),
    budget: Budget = Budget(),
) -> Reconstruction:
    """The reconstruction of `source`, also written to `destination` when it is complete.

    The file holds `reconstruction` (slices, h, w), as in fastMRI submissions, with the attributes
    `slices`, `evaluations`, `residual` and `converged`, one entry per slice. Its space on the disk
    is taken before the work starts, so that a full disk is told then.
    source: fastMRI schema; a masked file is taken as it is, a fully sampled one needs
        `undersampling`.
    attributes: texts to store with the file, such as the model's name. progress: show a bar.
    coil_maps: as in `prepare`. Raises InputError for input that cannot be used.
    """
    source, destination = Path(source), Path(destination)
    volume = open_volume(source)
    refuse_same_file(source, destination)
    mask = choose_mask(volume, undersampling)
    chosen = choose_slices(volume, slices)
    attributes = {
        "source": source.name,
        "acquisition": volume.contrast,
        "patient_id": volume.patient_id,
        **(attributes or {}),
    }
    blank = Reconstruction(np.zeros((len(chosen), *volume.recon_shape), np.float32), chosen, mask)
    with reserved(destination, blank, attributes) as write:
        result = reconstruct_volume(
            volume, model, torch.from_numpy(mask), chosen, device, progress, coil_maps, budget
        )
        write(result)
    return result


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


def reconstruct_volume(
    volume: Volume,
    model: Reconstructor,
    mask: torch.Tensor,
    slices: list[int],
    device: torch.device | str = "cpu",
    progress: bool = False,
    coil_maps: CoilMaps = LowResolution(),
    budget: Budget = Budget(),
) -> Reconstruction:
    """The chosen `slices` of `volume` under `mask`, one at a time.

    Warns of slices whose solver did not converge.
    """
    model = model.to(device)
    result = Reconstruction(
        np.empty((len(slices), *volume.recon_shape), np.float32), slices, mask.numpy()
    )
    for position, index in enumerate(
        tqdm(slices, desc=volume.path.name, unit="slice", disable=not progress)
    ):
        _refuse_unmarked_zeros(volume, index)
        sample = prepare(volume, index, mask, coil_maps=coil_maps)
        if not FLOAT32_RANGE[0] < sample.scale < FLOAT32_RANGE[1]:
            raise InputError(
                f"{volume.path}: slice {index} has the peak {sample.scale:.3g}, "
                "which float32 images cannot hold; rescale the k-space"
            )
        batch = collate([sample]).to(device)
        image = solve_slice(model, batch.kspace, batch.operator, result, budget)
        result.images[position] = finite_magnitude(
            crop_magnitude(image[0], sample.crop), sample.scale, volume.path, index
        )
    warn_of_unsettled(result, volume.path)
    return result


def refuse_same_file(source: Path, destination: Path) -> None:
    """Raises InputError where the output would replace the input."""
    if destination.exists() and destination.samefile(source):
        raise InputError(f"{destination}: is the input itself; name another file for the output")


def choose_mask(volume: Volume, undersampling: Undersampling | None) -> np.ndarray:
    """What `volume` is sampled with: its own mask, or a draw for a fully sampled file.

    Raises InputError where both or neither is given.
    """
    if volume.mask is not None:
        if undersampling is not None:
            raise InputError(
                f"{volume.path}: is undersampled already (it has a `mask`); "
                "leave acceleration, centre fraction, mask and seed out"
            )
        return acquired_only(torch.from_numpy(volume.mask), volume).numpy()
    if undersampling is None:
        raise InputError(
            f"{volume.path}: is fully sampled (it has no `mask`); an acceleration is needed to"
            " undersample it"
        )
    seed = seed_from_name(volume.path.name) if undersampling.seed is None else undersampling.seed
    return acquired_only(undersampling.rule.sample(volume.shape[-1], seed), volume).numpy()


@torch.no_grad()
def solve_slice(
    model: Reconstructor,
    kspace: torch.Tensor,
    A: LinearOperator,
    result: Reconstruction,
    budget: Budget = Budget(),
) -> torch.Tensor:
    """The image of a batch of one; how the solver fared is added to `result`."""
    outcome = model.run(kspace, A, budget)
    if outcome.solution is not None:
        result.evaluations.append(int(outcome.solution.evaluations[0]))
        result.residual.append(float(outcome.solution.residual[0]))
        result.converged.append(bool(outcome.solution.converged[0]))
    return outcome.image


def finite_magnitude(magnitude: torch.Tensor, scale: float, path: Path, index: int) -> np.ndarray:
    """The magnitude at the input's own scale, float64 (h, w); InputError where the model gave
    something else.
    """
    image = magnitude.double().cpu().numpy() * scale
    if not np.isfinite(image).all():
        raise InputError(
            f"{path}: slice {index}: the model gave no finite image; its weights do not suit this"
            " input"
        )
    return image


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


def _refuse_unmarked_zeros(volume: Volume, index: int) -> None:
    """Raises InputError for holes in the k-space of a file without `mask`.

    Someone undersampled it and did not say so: its target would be wrong.
    """
    if volume.mask is not None:
        return
    sampled = np.any(volume.kspace(index) != 0, axis=0)
    if not sampled.any():
        return
    rows, columns = (np.flatnonzero(sampled.any(axis=axis)) for axis in (1, 0))
    inside = sampled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    share = 1 - inside.mean()
    if share > ZEROS_ALLOWED:
        raise InputError(
            f"{volume.path}: slice {index}: {share:.0%} of kspace is exactly zero but there is no"
            " `mask`; it looks undersampled, store which columns were sampled as `mask`"
        )


def _content(result: Reconstruction, attributes: dict[str, str]) -> bytes:
    """The output file of `result`."""
    per_slice: dict[str, np.ndarray] = {"slices": np.asarray(result.slices)}
    if result.evaluations:
        per_slice["evaluations"] = np.asarray(result.evaluations)
        per_slice["residual"] = np.asarray(result.residual)
        per_slice["converged"] = np.asarray(result.converged)
    sampled = {} if result.mask is None else {"mask": result.mask}
    return hdf5_bytes(
        {"reconstruction": result.images, **sampled}, attributes, {"reconstruction": per_slice}
    )


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
