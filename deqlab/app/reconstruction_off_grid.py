"""From a file of samples off the grid to an image file: density weights, coil maps, a scale, then
any reconstructor.

Every method gets W^(1/2) A and W^(1/2) y, where W are density weights: then A^H W y is the
compensated adjoint, and A^H W A is near the identity where nothing is missing, which is what least
squares solves quickly and what models trained on Cartesian lines know.
"""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deqlab.app.reconstruct_file import (
    FLOAT32_RANGE,
    Reconstruction,
    finite_magnitude,
    refuse_same_file,
    reserved,
    solve_slice,
    warn_of_unsettled,
)
from deqlab.core.errors import InputError
from deqlab.data.dataset import Slices, choose_slices
from deqlab.data.formats.fastmri import in_unit_range
from deqlab.data.formats.trajectory_layout import NonCartesianVolume, open_noncartesian
from deqlab.data.prepare.stored_maps import CoilMaps, StoredMaps
from deqlab.operators import NUFFTOperator
from deqlab.operators.gridding import (
    at_most_one,
    coil_maps_from_center,
    density_weights,
    gridded_center,
    weigh,
)
from deqlab.operators.noncartesian import NonCartesianOperator
from deqlab.operators.off_resonance import OffResonance
from deqlab.recon.base import Budget, Reconstructor
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps

# The density of the samples within so many cycles per pixel of the centre is made 1, whatever the
# unit of the file's own weights.
CENTER = 0.125


def reconstruct_noncartesian_file(
    source: str | Path,
    destination: str | Path,
    model: Reconstructor,
    slices: Slices = "all",
    device: torch.device | str = "cpu",
    attributes: dict[str, str] | None = None,
    progress: bool = False,
    coil_maps: CoilMaps = LowResolution(),
    budget: Budget = Budget(),
) -> Reconstruction:
    """The reconstruction of `source`, also written to `destination` when it is complete; arguments
    and output as `reconstruct_file`.

    source: the layout of `deqlab.data.formats.trajectory_layout`. Its density weights are used
        where it has some, and those of Pipe and Menon where not.
    coil_maps: a method, which reads the samples near the centre, or maps of a file. A field map in
        the file is undone by every method. Raises InputError for input that cannot be used.
    """
    source, destination = Path(source), Path(destination)
    volume = open_noncartesian(source)
    refuse_same_file(source, destination)
    chosen = choose_slices(volume, slices)
    facts = {
        "source": source.name,
        "acquisition": volume.contrast,
        "patient_id": volume.patient_id,
        **(attributes or {}),
    }
    blank = Reconstruction(np.zeros((len(chosen), *volume.matrix), np.float32), chosen, None)
    with reserved(destination, blank, facts) as write:
        result = reconstruct_noncartesian(
            volume, model, chosen, device, progress, coil_maps, budget
        )
        write(result)
    return result


def reconstruct_noncartesian(
    volume: NonCartesianVolume,
    model: Reconstructor,
    slices: list[int],
    device: torch.device | str = "cpu",
    progress: bool = False,
    coil_maps: CoilMaps = LowResolution(),
    budget: Budget = Budget(),
) -> Reconstruction:
    """The chosen `slices` of `volume`, one at a time. Warns of slices whose solver did not
    converge.
    """
    model = model.to(device)
    result = Reconstruction(np.empty((len(slices), *volume.matrix), np.float32), slices, None)
    trajectory, density = None, None
    for position, index in enumerate(
        tqdm(slices, desc=volume.path.name, unit="slice", disable=not progress)
    ):
        previous, trajectory = trajectory, volume.trajectory(index)
        if "density" in volume.has or previous is None or not torch.equal(trajectory, previous):
            density = density_of(volume, index, trajectory)
        kspace, A, scale = prepare_noncartesian(volume, index, trajectory, density, coil_maps)
        # The plain adjoint has no step that could be too long: it keeps the weights' own scale, and
        # so the image its intensity.
        A = (
            A
            if isinstance(model, ZeroFilled)
            else at_most_one(A, kspace.new_zeros(1, *volume.matrix))
        )
        A = A.to(device)
        image = solve_slice(model, weigh(A, kspace.to(device)), A, result, budget)
        result.images[position] = finite_magnitude(image[0].abs(), scale, volume.path, index)
    warn_of_unsettled(result, volume.path)
    return result


def density_of(volume: NonCartesianVolume, index: int, trajectory: torch.Tensor) -> torch.Tensor:
    """Density weights of a slice, float64 (samples,), in units of a Cartesian sample: the file's,
    or those of Pipe and Menon.
    """
    own = volume.density(index)
    if own is None:
        return density_weights(trajectory, volume.matrix)
    # One step of the same iteration compares the file's weights with a density of 1; only the
    # median of it near the centre is used.
    stepped = density_weights(trajectory, volume.matrix, iterations=1, start=own)
    center = (torch.linalg.vector_norm(trajectory, dim=-1) < CENTER) & (own > 0)
    center = center if bool(center.any()) else own > 0
    return own * (stepped[center] / own[center]).median()


def prepare_noncartesian(
    volume: NonCartesianVolume,
    index: int,
    trajectory: torch.Tensor,
    density: torch.Tensor,
    coil_maps: CoilMaps = LowResolution(),
) -> tuple[torch.Tensor, NonCartesianOperator | OffResonance, float]:
    """(k-space, complex64 (1, coil, samples); A with `density` as its weights; scale) of a slice,
    ready for `weigh` and any reconstructor.

    A has off-resonance in it where the file has a field map.

    k-space is divided by `scale`, so that |A^H W y| has the maximum 1, as a Cartesian `Sample`.
    """
    samples, unit = in_unit_range(volume.kspace(index))
    samples = torch.from_numpy(samples)
    maps = _maps(volume, index, samples, trajectory, density, coil_maps)
    A = NUFFTOperator(trajectory, volume.matrix, maps, weights=density)
    off_resonance = volume.field_map(index)
    A = A if off_resonance is None else OffResonance(A, *off_resonance)
    kspace = samples.unsqueeze(0)
    scale = float(A.H(weigh(A, kspace)).abs().max()) or 1.0
    if not FLOAT32_RANGE[0] < scale * unit < FLOAT32_RANGE[1]:
        raise InputError(
            f"{volume.path}: slice {index} has the peak {scale * unit:.3g}, which float32 images"
            " cannot hold; rescale the k-space"
        )
    return kspace / scale, A, scale * unit


def _maps(
    volume: NonCartesianVolume,
    index: int,
    samples: torch.Tensor,
    trajectory: torch.Tensor,
    density: torch.Tensor,
    source: CoilMaps,
) -> torch.Tensor:
    """Coil maps of a slice, complex64 (coil, y, x), an error with the file's name."""
    if isinstance(source, StoredMaps):
        return source.read(index, volume.slices, (len(samples), *volume.matrix))
    try:
        if isinstance(source, LowResolution):
            # Its window can follow the samples; the other methods need a block of the grid.
            return coil_maps_from_center(samples, trajectory, density, volume.matrix)
        gridded, lines, rows = gridded_center(samples, trajectory, density, volume.matrix)
        return estimate_coil_maps(gridded, lines, source, rows)
    except InputError as error:
        if len(samples) > 1:
            raise InputError(f"{volume.path}: coil maps: {error}") from None
        return samples.new_ones(1, *volume.matrix)  # one coil can do without
